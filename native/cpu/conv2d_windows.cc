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

/// Sums of products, [a patch's elements, filters]: `rows` elements of one patch row by two registers of
/// filters at a time.
template <int kFloats>
struct Tile {
  typedef float Value __attribute__((vector_size(kFloats * sizeof(float))));
  typedef float At __attribute__((vector_size(kFloats * sizeof(float)), aligned(sizeof(float)), may_alias));
  /// With two of the gradient and one of x all registers.
  static constexpr int kMostRows = kFloats == 16 ? 12 : 6;
  static constexpr int64_t kFilters = 2 * kFloats;

  /// sums += Σ x · dy over the pixels of `lines` output rows. A sum of so few, added to those of others, is
  /// also more exact than one of all pixels: 3e-7 of the maximum instead of 7e-6, of conv1 at batch 128.
  template <int kRows>
  static INLINE void add(const Conv2dShape& q, int64_t lines, int64_t xLine, const float* x, const float* dy,
                         float* sums) {
    Value sum[kRows][2]{};
    for (int64_t line = 0; line < lines; ++line, x += xLine) {
      const float* window = x;
      for (int64_t pixel = 0; pixel < q.ow; ++pixel, window += q.strideW * q.c, dy += q.k) {
        const Value dy0 = *reinterpret_cast<const At*>(dy), dy1 = *reinterpret_cast<const At*>(dy + kFloats);
#pragma GCC unroll 12
        for (int row = 0; row < kRows; ++row) {
          sum[row][0] += window[row] * dy0;
          sum[row][1] += window[row] * dy1;
        }
      }
    }
#pragma GCC unroll 12
    for (int row = 0; row < kRows; ++row) {
      *reinterpret_cast<At*>(sums + row * q.k) += sum[row][0];
      *reinterpret_cast<At*>(sums + row * q.k + kFloats) += sum[row][1];
    }
  }

  template <int kRows = kMostRows>
  static INLINE void addRows(int64_t rows, const Conv2dShape& q, int64_t lines, int64_t xLine, const float* x,
                             const float* dy, float* sums) {
    if (rows == kRows) return add<kRows>(q, lines, xLine, x, dy, sums);
    if constexpr (kRows > 1) addRows<kRows - 1>(rows, q, lines, xLine, x, dy, sums);
  }
};

/// Those of `lines` output rows from `oy` on of an image that has its padding around it.
template <int kFloats>
INLINE void addLines(const Conv2dShape& q, const float* image, const float* dy, int64_t oy, int64_t lines,
                     float* sums) {
  using T = Tile<kFloats>;
  const int64_t line = (q.w + 2 * q.padW) * q.c, patch = q.s * q.c;
  const int64_t tiles = (patch + T::kMostRows - 1) / T::kMostRows;
  for (int64_t filter = 0; filter < q.k; filter += T::kFilters)
    for (int64_t r = 0; r < q.r; ++r)
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t first = patch * tile / tiles, rows = patch * (tile + 1) / tiles - first;
        T::addRows(rows, q, lines, q.strideH * line, image + (oy * q.strideH + r) * line + first,
                   dy + oy * q.ow * q.k + filter, sums + (r * patch + first) * q.k + filter);
      }
}

/// The image with zeros around it.
const float* pad(const Conv2dShape& q, const float* image, float* padded) {
  if (q.padH == 0 && q.padW == 0) return image;
  const int64_t line = (q.w + 2 * q.padW) * q.c;
  for (int64_t row = 0; row < q.h; ++row)
    std::memcpy(padded + (row + q.padH) * line + q.padW * q.c, image + row * q.w * q.c,
                q.w * q.c * sizeof(float));
  return padded;
}

/// Each part sums over its own output rows; the sums are added in the order of the parts.
void run(Context& context, Conv2dPass, const Conv2dShape& q, const float* x, const float* dy, const float*,
         float* dw) {
  const int64_t outputRows = q.n * q.oh, filter = q.filter(), weights = q.k * filter;
  const int64_t image = q.h * q.w * q.c, padded = (q.h + 2 * q.padH) * (q.w + 2 * q.padW) * q.c;
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
      const float* const source = pad(q, x + n * image, copy);
      for (; row < lastOfImage; row += std::min(kOutputRows, lastOfImage - row))
        forIsa(context.isa, [&](auto floats) INLINE_LAMBDA {
          addLines<floats.value>(q, source, dy + n * q.oh * q.ow * q.k, row - n * q.oh,
                                 std::min(kOutputRows, lastOfImage - row), own);
        });
    }
  });
  for (int part = 1; part < parts; ++part) addTo(context, weights, sums + part * weights, sums);
  for (int64_t k = 0; k < q.k; ++k)
    for (int64_t i = 0; i < filter; ++i) dw[k * filter + i] = sums[i * q.k + k];
}

/// A dilated or grouped patch's row is not contiguous; with more channels im2col and blocks were not
/// compared.
bool supports(Conv2dPass pass, const Conv2dShape& q) {
  return pass == Conv2dPass::Filter && q.groups == 1 && q.dilationH == 1 && q.dilationW == 1 &&
         q.k % 32 == 0 && q.c <= 8;
}

}  // namespace

const Conv2dImplementation conv2dWindows{"windows", supports, run};

}  // namespace nodecudnn
