#include "simulator/convolution.h"

#include <algorithm>

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)  // The choice runs before ThreadSanitizer can.
#define CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define CLONES
#endif

namespace simulator {
namespace {

using Sums = std::vector<double>;

template <class Body>
void forEach(const Layout& layout, Body body) {
  const auto& [dims, strides] = layout;
  int64_t i = 0;
  for (int64_t n = 0; n < dims[0]; ++n)
    for (int64_t h = 0; h < dims[2]; ++h)
      for (int64_t w = 0; w < dims[3]; ++w)
        for (int64_t c = 0; c < dims[1]; ++c)
          body(i++, n * strides[0] + c * strides[1] + h * strides[2] + w * strides[3]);
}

constexpr int64_t kRows = 4, kColumns = 16, kDepth = 128;
typedef float Eight __attribute__((vector_size(32), aligned(4), may_alias));

/// c += a · panel, of `depth` rows of 16 columns each, of which `columns` are wanted.
CLONES void multiplyPanel(int64_t rows, int64_t columns, int64_t depth, const float* a, int64_t aStride,
                          const float* panel, double* c, int64_t cStride) {
  const Eight* halves = reinterpret_cast<const Eight*>(panel);
  for (int64_t row = 0; row < rows; row += kRows) {
    const float* lines[kRows];
    for (int64_t i = 0; i < kRows; ++i) lines[i] = a + std::min(row + i, rows - 1) * aStride;
    Eight sums[kRows][2] = {};
    for (int64_t p = 0; p < depth; ++p)
      for (int64_t i = 0; i < kRows; ++i) {
        sums[i][0] += lines[i][p] * halves[2 * p];
        sums[i][1] += lines[i][p] * halves[2 * p + 1];
      }
    for (int64_t i = 0; i < std::min(kRows, rows - row); ++i)
      for (int64_t j = 0; j < columns; ++j) c[(row + i) * cStride + j] += sums[i][j / 8][j % 8];
  }
}

/// c += a · b, all of them by rows: a is rows × inner, b is inner × columns.
void multiply(int64_t rows, int64_t columns, int64_t inner, const float* a, const float* b, double* c) {
  std::array<float, kDepth * kColumns> panel;
  for (int64_t p = 0; p < inner; p += kDepth)
    for (int64_t j = 0; j < columns; j += kColumns) {
      const int64_t depth = std::min(kDepth, inner - p), width = std::min(kColumns, columns - j);
      for (int64_t i = 0; i < depth; ++i)
        for (int64_t k = 0; k < kColumns; ++k)
          panel[i * kColumns + k] = k < width ? b[(p + i) * columns + j + k] : 0;
      multiplyPanel(rows, width, depth, a + p, inner, panel.data(), c + j, columns);
    }
}

Packed transposed(const float* a, int64_t rows, int64_t columns, int64_t stride) {
  Packed out(rows * columns);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) out[j * rows + i] = a[i * stride + j];
  return out;
}

int64_t taps(const Convolution& q) { return q.r * q.s * q.groupC; }

/// body(at, from, count): the `count` numbers at `at` of an image's columns, [oh · ow][r · s · groupC], are
/// those at `from` of x. What is padding it leaves out.
template <class Body>
void forEachTap(const Convolution& q, int64_t image, int64_t group, Body body) {
  const int64_t channels = q.groups * q.groupC;
  int64_t at = 0;
  for (int64_t oh = 0; oh < q.oh; ++oh)
    for (int64_t ow = 0; ow < q.ow; ++ow)
      for (int64_t r = 0; r < q.r; ++r)
        for (int64_t s = 0; s < q.s; ++s, at += q.groupC) {
          const int64_t h = oh * q.stride[0] - q.padding[0] + r * q.dilation[0];
          const int64_t w = ow * q.stride[1] - q.padding[1] + s * q.dilation[1];
          if (h < 0 || h >= q.h || w < 0 || w >= q.w) continue;
          body(at, ((image * q.h + h) * q.w + w) * channels + group * q.groupC, q.groupC);
        }
}

Packed columnsOf(const Convolution& q, const Packed& x, int64_t image, int64_t group) {
  Packed columns(q.oh * q.ow * taps(q));
  forEachTap(q, image, group,
             [&](int64_t at, int64_t from, int64_t count) { std::copy_n(&x[from], count, &columns[at]); });
  return columns;
}

template <class Body>
void forEachImageAndGroup(const Convolution& q, Body body) {
  for (int64_t image = 0; image < q.n; ++image)
    for (int64_t group = 0; group < q.groups; ++group) body(image, group);
}

/// Where a group's part of an image of y begins. Its rows are groups · groupK apart.
int64_t outputOf(const Convolution& q, int64_t image, int64_t group) {
  return (image * q.oh * q.ow * q.groups + group) * q.groupK;
}

}  // namespace

int64_t Layout::extent() const {
  int64_t last = 0;
  for (size_t i = 0; i < dims.size(); ++i) last += (dims[i] - 1) * strides[i];
  return last + 1;
}

Packed gather(const Layout& layout, const float* memory) {
  Packed values(layout.count());
  forEach(layout, [&](int64_t i, int64_t at) { values[i] = memory[at]; });
  return values;
}

void scatter(const Layout& layout, const Packed& values, float* memory) {
  forEach(layout, [&](int64_t i, int64_t at) { memory[at] = values[i]; });
}

Packed forward(const Convolution& q, const Packed& x, const Packed& w) {
  const int64_t pixels = q.oh * q.ow, filters = q.groups * q.groupK;
  Packed y(q.n * pixels * filters);
  forEachImageAndGroup(q, [&](int64_t image, int64_t group) {
    const Packed columns = columnsOf(q, x, image, group);
    const Packed weights = transposed(&w[group * q.groupK * taps(q)], q.groupK, taps(q), taps(q));
    Sums sums(pixels * q.groupK);
    multiply(pixels, q.groupK, taps(q), columns.data(), weights.data(), sums.data());
    for (int64_t i = 0; i < pixels; ++i)
      std::copy_n(&sums[i * q.groupK], q.groupK, &y[outputOf(q, image, group) + i * filters]);
  });
  return y;
}

Packed backwardData(const Convolution& q, const Packed& dy, const Packed& w) {
  const int64_t pixels = q.oh * q.ow, filters = q.groups * q.groupK;
  Sums dx(q.n * q.h * q.w * q.groups * q.groupC);
  forEachImageAndGroup(q, [&](int64_t image, int64_t group) {
    Packed gradients(pixels * q.groupK);
    for (int64_t i = 0; i < pixels; ++i)
      std::copy_n(&dy[outputOf(q, image, group) + i * filters], q.groupK, &gradients[i * q.groupK]);
    Sums columns(pixels * taps(q));
    multiply(pixels, taps(q), q.groupK, gradients.data(), &w[group * q.groupK * taps(q)], columns.data());
    forEachTap(q, image, group, [&](int64_t at, int64_t to, int64_t count) {
      for (int64_t c = 0; c < count; ++c) dx[to + c] += columns[at + c];
    });
  });
  return Packed(dx.begin(), dx.end());
}

Packed backwardFilter(const Convolution& q, const Packed& x, const Packed& dy) {
  const int64_t pixels = q.oh * q.ow, filters = q.groups * q.groupK;
  Sums dw(filters * taps(q));
  forEachImageAndGroup(q, [&](int64_t image, int64_t group) {
    const Packed gradients = transposed(&dy[outputOf(q, image, group)], pixels, q.groupK, filters);
    const Packed columns = columnsOf(q, x, image, group);
    multiply(q.groupK, taps(q), pixels, gradients.data(), columns.data(), &dw[group * q.groupK * taps(q)]);
  });
  return Packed(dw.begin(), dw.end());
}

}  // namespace simulator
