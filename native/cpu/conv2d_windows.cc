#include <cstring>

#include "cpu/conv2d.h"
#include "cpu/gemm.h"
#include "cpu/kernel.h"

/// The filter gradient where channels are few, as an image's: im2col's product dw = dyᵀ·P without the matrix
/// P. A row of a patch is s·c neighbouring floats of x, so that column r·s·c + j of P is read where it lies,
/// at x[oy · stride + r][ox · stride · c + j].
namespace nodecudnn {
namespace {

enum Slot { kPadded = 1, kSums };

/// Output rows that a tile's product runs over: of AlexNet's conv1 the gradient of two registers of filters
/// is then 56 KB, read from near caches by all tiles. Half as many are 3 % slower, all of an image 1 %.
constexpr int64_t kOutputRows = 8;

/// Sums of products, [a patch's elements, filters]: some elements of one patch row by one or two registers of
/// filters at a time.
template <int kFloats>
struct Tile {
  typedef float Value __attribute__((vector_size(kFloats * sizeof(float))));
  typedef float At __attribute__((vector_size(kFloats * sizeof(float)), aligned(sizeof(float)), may_alias));
  /// Twice as many sums, two registers of the gradient and one of x: of 32 registers with AVX-512, or of 16.
  static constexpr int kMostRows = kFloats == 16 ? 12 : 6;

  /// sums += Σ x · dy over the pixels of `lines` output rows. A sum of so few, added to those of others, is
  /// also more exact than one of all pixels: 3e-7 of the maximum instead of 7e-6, of conv1 at batch 128.
  template <int kRows, int kRegisters>
  static INLINE void add(const Conv2dShape& q, int64_t lines, int64_t xLine, const float* x, const float* dy,
                         float* sums) {
    Value sum[kRows][kRegisters]{};
    for (int64_t line = 0; line < lines; ++line, x += xLine) {
      const float* window = x;
      for (int64_t pixel = 0; pixel < q.ow; ++pixel, window += q.strideW * q.c, dy += q.k) {
        Value gradient[kRegisters];
#pragma GCC unroll 2
        for (int i = 0; i < kRegisters; ++i) gradient[i] = *reinterpret_cast<const At*>(dy + i * kFloats);
#pragma GCC unroll 12
        for (int row = 0; row < kRows; ++row)
#pragma GCC unroll 2
          for (int i = 0; i < kRegisters; ++i) sum[row][i] += window[row] * gradient[i];
      }
    }
#pragma GCC unroll 12
    for (int row = 0; row < kRows; ++row)
#pragma GCC unroll 2
      for (int i = 0; i < kRegisters; ++i)
        *reinterpret_cast<At*>(sums + row * q.k + i * kFloats) += sum[row][i];
  }

  template <int kRegisters, int kRows = kMostRows>
  static INLINE void addRows(int64_t rows, const Conv2dShape& q, int64_t lines, int64_t xLine, const float* x,
                             const float* dy, float* sums) {
    if (rows == kRows) return add<kRows, kRegisters>(q, lines, xLine, x, dy, sums);
    if constexpr (kRows > 1) addRows<kRegisters, kRows - 1>(rows, q, lines, xLine, x, dy, sums);
  }
};

/// Adds those of `lines` output rows from `oy` on. `image` has its padding around it; `dy` is all of the
/// image's.
template <int kFloats>
INLINE void addLines(const Conv2dShape& q, const float* image, const float* dy, int64_t oy, int64_t lines,
                     float* sums) {
  using T = Tile<kFloats>;
  const int64_t line = (q.w + 2 * q.padW) * q.c, patchRow = q.s * q.c;
  const int64_t tiles = (patchRow + T::kMostRows - 1) / T::kMostRows;
  for (int64_t filter = 0; filter < q.k; filter += 2 * kFloats)
    for (int64_t r = 0; r < q.r; ++r)
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t first = patchRow * tile / tiles, rows = patchRow * (tile + 1) / tiles - first;
        const float* const x = image + (oy * q.strideH + r * q.dilationH) * line + first;
        const float* const gradient = dy + oy * q.ow * q.k + filter;
        float* const sum = sums + (r * patchRow + first) * q.k + filter;
        if (q.k - filter >= 2 * kFloats)
          T::template addRows<2>(rows, q, lines, q.strideH * line, x, gradient, sum);
        else
          T::template addRows<1>(rows, q, lines, q.strideH * line, x, gradient, sum);
      }
}

/// The image with zeros around it: itself, or copied into the middle of `padded`, which is all zeros around.
const float* pad(const Conv2dShape& q, const float* image, float* padded) {
  if (q.padH == 0 && q.padW == 0) return image;
  const int64_t line = (q.w + 2 * q.padW) * q.c;
  for (int64_t row = 0; row < q.h; ++row)
    std::memcpy(padded + (row + q.padH) * line + q.padW * q.c, image + row * q.w * q.c,
                q.w * q.c * sizeof(float));
  return padded;
}

int64_t paddedElements(const Conv2dShape& q) { return (q.h + 2 * q.padH) * (q.w + 2 * q.padW) * q.c; }

/// Each part sums over its own output rows; the sums are added in the order of the parts.
void run(Context& context, Conv2dPass, const Conv2dShape& q, const float* x, const float* dy, const float*,
         float* dw) {
  const int64_t outputRows = q.n * q.oh, filter = q.filter(), weights = q.k * filter;
  const int64_t padded = paddedElements(q);
  const int parts = static_cast<int>(std::min<int64_t>(context.threads, outputRows));
  const bool isPadded = q.padH > 0 || q.padW > 0;
  float* const copies = isPadded ? context.workspace<float>(kPadded, parts * padded) : nullptr;
  float* const sums = context.workspace<float>(kSums, parts * weights);
  parallelFor(parts, parts, 1, [&](int64_t part, int64_t) {
    float* const own = sums + part * weights;
    float* const copy = isPadded ? copies + part * padded : nullptr;
    std::memset(own, 0, weights * sizeof(float));
    if (isPadded) std::memset(copy, 0, padded * sizeof(float));
    const int64_t end = outputRows * (part + 1) / parts;
    for (int64_t row = outputRows * part / parts; row < end;) {
      const int64_t n = row / q.oh, lastOfImage = std::min(end, (n + 1) * q.oh);
      const float* const image = pad(q, x + n * q.h * q.w * q.c, copy);
      for (; row < lastOfImage; row += std::min(kOutputRows, lastOfImage - row))
        forIsa(context.isa, [&](auto floats) INLINE_LAMBDA {
          addLines<floats.value>(q, image, dy + n * q.oh * q.ow * q.k, row - n * q.oh,
                                 std::min(kOutputRows, lastOfImage - row), own);
        });
    }
  });
  for (int part = 1; part < parts; ++part) addTo(context, weights, sums + part * weights, sums);
  for (int64_t k = 0; k < q.k; ++k)
    for (int64_t i = 0; i < filter; ++i) dw[k * filter + i] = sums[i * q.k + k];
}

/// A patch's row is contiguous, filters are whole registers, and each thread's memory, which is that of its
/// sums and of an image with padding, small.
bool supports(Conv2dPass pass, const Conv2dShape& q) {
  constexpr int64_t kMostElements = (int64_t{16} << 20) / sizeof(float);
  return pass == Conv2dPass::Filter && q.groups == 1 && q.dilationW == 1 && q.k % 16 == 0 &&
         q.k * q.filter() <= kMostElements && paddedElements(q) <= kMostElements;
}

}  // namespace

const Conv2dImplementation conv2dWindows{"windows", supports, run};

}  // namespace nodecudnn
