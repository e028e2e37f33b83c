#include <algorithm>
#include <cstring>
#include <type_traits>

#include "cpu/kernel.h"

namespace nodecudnn {
namespace {

/// Eight channels at a time, or one: the same code serves both. GCC splits the vectors where registers are
/// shorter. They are read and written through types that need no alignment.
struct Eight {
  static constexpr int64_t kChannels = 8;
  typedef float Floats __attribute__((vector_size(32)));
  typedef int32_t Ints __attribute__((vector_size(32)));
  typedef int16_t Shorts __attribute__((vector_size(16)));
  typedef uint8_t Bytes __attribute__((vector_size(8)));
  typedef float FloatsAt __attribute__((vector_size(32), aligned(4), may_alias));
  typedef int32_t IntsAt __attribute__((vector_size(32), aligned(4), may_alias));
  typedef uint8_t BytesAt __attribute__((vector_size(8), aligned(1), may_alias));
};
struct One {
  static constexpr int64_t kChannels = 1;
  typedef float Floats;
  typedef int32_t Ints;
  typedef float FloatsAt;
  typedef int32_t IntsAt;
};

INLINE void broadcast(int32_t value, Eight::Ints& all) {
  int32_t values[8];  // From a list of eight GCC inserts them one by one.
  for (int32_t& each : values) each = value;
  std::memcpy(&all, values, sizeof all);
}
INLINE void broadcast(int32_t value, One::Ints& all) { all = value; }

template <class Lanes>
INLINE void storeIndex(const typename Lanes::Ints& value, int32_t* to) {
  *reinterpret_cast<typename Lanes::IntsAt*>(to) = value;
}
template <class Lanes>
INLINE void storeIndex(const typename Lanes::Ints& value, uint8_t* to) {
  if constexpr (std::is_same_v<Lanes, Eight>)  // In two steps GCC packs vectors, in one it goes lane by lane.
    *reinterpret_cast<Eight::BytesAt*>(to) =
        __builtin_convertvector(__builtin_convertvector(value, Eight::Shorts), Eight::Bytes);
  else
    *to = static_cast<uint8_t>(value);
}

template <class Lanes>
INLINE void loadIndex(typename Lanes::Ints& value, const int32_t* from) {
  value = *reinterpret_cast<const typename Lanes::IntsAt*>(from);
}
template <class Lanes>
INLINE void loadIndex(typename Lanes::Ints& value, const uint8_t* from) {
  if constexpr (std::is_same_v<Lanes, Eight>)  // One vpmovzxbd.
    value = Eight::Ints{from[0], from[1], from[2], from[3], from[4], from[5], from[6], from[7]};
  else
    value = *from;
}

struct Pool {
  MaxPool2dParams p;
  int64_t height, width, channels, outHeight, outWidth;
};

/// A part of a grid of positions, row by row: `rowStep` and `step` lead to the next row and position, in
/// elements of the data and in numbers of the window's positions.
struct Window {
  int64_t rows, columns, rowStep, step;
  int64_t position, positionRowStep, positionStep;
};

/// One channel block's maximum over a window, and its position. As in PyTorch a NaN wins.
template <class Lanes, int kBlocks, class Index>
INLINE void maxOver(const Window& window, const float* x, float* y, Index* index) {
  typename Lanes::Floats best[kBlocks];
  typename Lanes::Ints at[kBlocks], first;
  broadcast(static_cast<int32_t>(window.position), first);
  for (int b = 0; b < kBlocks; ++b) {
    best[b] = *reinterpret_cast<const typename Lanes::FloatsAt*>(x + b * Lanes::kChannels);
    at[b] = first;
  }
  for (int64_t r = 0; r < window.rows; ++r)
    for (int64_t c = 0; c < window.columns; ++c) {
      const float* from = x + r * window.rowStep + c * window.step;
      typename Lanes::Ints position;
      broadcast(static_cast<int32_t>(window.position + r * window.positionRowStep + c * window.positionStep),
                position);
      for (int b = 0; b < kBlocks; ++b) {
        const typename Lanes::Floats value =
            *reinterpret_cast<const typename Lanes::FloatsAt*>(from + b * Lanes::kChannels);
        const auto wins = (value > best[b]) | (value != value);
        best[b] = wins ? value : best[b];
        at[b] = wins ? position : at[b];
      }
    }
  for (int b = 0; b < kBlocks; ++b) {
    *reinterpret_cast<typename Lanes::FloatsAt*>(y + b * Lanes::kChannels) = best[b];
    if constexpr (!std::is_void_v<Index>) storeIndex<Lanes>(at[b], index + b * Lanes::kChannels);
  }
}

/// One channel block's sum of the gradients whose index names this position of their window.
template <class Lanes, int kBlocks, class Index>
INLINE void sumOver(const Window& window, const float* dy, const Index* index, float* dx) {
  typename Lanes::Floats sum[kBlocks];
  for (int b = 0; b < kBlocks; ++b) sum[b] = typename Lanes::Floats{};
  for (int64_t r = 0; r < window.rows; ++r)
    for (int64_t c = 0; c < window.columns; ++c) {
      const int64_t offset = r * window.rowStep + c * window.step;
      typename Lanes::Ints position;
      broadcast(static_cast<int32_t>(window.position + r * window.positionRowStep + c * window.positionStep),
                position);
      for (int b = 0; b < kBlocks; ++b) {
        const typename Lanes::Floats value =
            *reinterpret_cast<const typename Lanes::FloatsAt*>(dy + offset + b * Lanes::kChannels);
        typename Lanes::Ints at;
        loadIndex<Lanes>(at, index + offset + b * Lanes::kChannels);
        sum[b] += at == position ? value : typename Lanes::Floats{};
      }
    }
  for (int b = 0; b < kBlocks; ++b)
    *reinterpret_cast<typename Lanes::FloatsAt*>(dx + b * Lanes::kChannels) = sum[b];
}

template <class Index>
INLINE Index* shifted(Index* index, int64_t offset) {
  if constexpr (std::is_void_v<Index>)
    return nullptr;
  else
    return index + offset;
}

/// Of an element that need not be there.
INLINE void prefetch(const float* x, int64_t offset) {
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(x) + offset * sizeof(float)));
}

/// 32 channels of what the window below has and this one has not: hardware does not see its rows coming.
INLINE void prefetchBelow(const Pool& pool, const Window& window, const float* x) {
  const MaxPool2dParams& p = pool.p;
  const int64_t first = window.rows + std::max<int64_t>(p.strideH - p.kernelH, 0);
  for (int64_t r = 0; r < std::min(p.strideH, p.kernelH); ++r)
    for (int64_t c = 0; c < std::min(p.strideW, p.kernelW); ++c)
      for (int64_t line = 0; line < 32; line += 16)
        prefetch(x, (first + r) * window.rowStep + c * window.step + line);
}

template <class Index>
INLINE void poolRows(const Pool& pool, int64_t begin, int64_t end, const float* x, float* y, Index* index) {
  const MaxPool2dParams& p = pool.p;
  const int64_t channels = pool.channels;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t image = row / pool.outHeight, top = row % pool.outHeight * p.strideH - p.padH;
    const int64_t firstRow = std::max<int64_t>(top, 0), endRow = std::min(top + p.kernelH, pool.height);
    for (int64_t column = 0; column < pool.outWidth; ++column) {
      const int64_t left = column * p.strideW - p.padW;
      const int64_t first = std::max<int64_t>(left, 0), last = std::min(left + p.kernelW, pool.width);
      const Window window{endRow - firstRow,
                          last - first,
                          pool.width * channels,
                          channels,
                          (firstRow - top) * p.kernelW + first - left,
                          p.kernelW,
                          1};
      const float* from = x + ((image * pool.height + firstRow) * pool.width + first) * channels;
      const int64_t at = (row * pool.outWidth + column) * channels;
      int64_t c = 0;
      for (; c + 32 <= channels; c += 32) {
        prefetchBelow(pool, window, from + c);
        maxOver<Eight, 4>(window, from + c, y + at + c, shifted(index, at + c));
      }
      for (; c + 8 <= channels; c += 8)
        maxOver<Eight, 1>(window, from + c, y + at + c, shifted(index, at + c));
      for (; c < channels; ++c) maxOver<One, 1>(window, from + c, y + at + c, shifted(index, at + c));
    }
  }
}

/// Gathers: each element of dx collects from the windows that contain it, so that rows are independent.
template <class Index>
INLINE void poolBackwardRows(const Pool& pool, int64_t begin, int64_t end, const Index* index,
                             const float* dy, float* dx) {
  const MaxPool2dParams& p = pool.p;
  const int64_t channels = pool.channels;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t image = row / pool.height, h = row % pool.height + p.padH;
    const int64_t firstRow = h < p.kernelH ? 0 : (h - p.kernelH) / p.strideH + 1;
    const int64_t endRow = std::min(h / p.strideH + 1, pool.outHeight);
    int64_t first = 0;
    for (int64_t column = 0; column < pool.width; ++column) {
      const int64_t w = column + p.padW;
      while (first * p.strideW + p.kernelW <= w) ++first;
      int64_t last = first;
      while (last < pool.outWidth && last * p.strideW <= w) ++last;
      const Window window{std::max<int64_t>(endRow - firstRow, 0),
                          last - first,
                          pool.outWidth * channels,
                          channels,
                          (h - firstRow * p.strideH) * p.kernelW + w - first * p.strideW,
                          -p.strideH * p.kernelW,
                          -p.strideW};
      const int64_t from = ((image * pool.outHeight + firstRow) * pool.outWidth + first) * channels;
      float* to = dx + (row * pool.width + column) * channels;
      int64_t c = 0;
      for (; c + 32 <= channels; c += 32) sumOver<Eight, 4>(window, dy + from + c, index + from + c, to + c);
      for (; c + 8 <= channels; c += 8) sumOver<Eight, 1>(window, dy + from + c, index + from + c, to + c);
      for (; c < channels; ++c) sumOver<One, 1>(window, dy + from + c, index + from + c, to + c);
    }
  }
}

SIMD_CLONES void poolRowsOf(const Pool& pool, int64_t begin, int64_t end, const float* x, float* y,
                            const Tensor* index) {
  if (index == nullptr)
    poolRows<void>(pool, begin, end, x, y, nullptr);
  else if (index->dtype == DType::UInt8)
    poolRows(pool, begin, end, x, y, static_cast<uint8_t*>(index->data));
  else
    poolRows(pool, begin, end, x, y, static_cast<int32_t*>(index->data));
}

SIMD_CLONES void poolBackwardRowsOf(const Pool& pool, int64_t begin, int64_t end, const Tensor& index,
                                    const float* dy, float* dx) {
  if (index.dtype == DType::UInt8)
    poolBackwardRows(pool, begin, end, static_cast<const uint8_t*>(index.data), dy, dx);
  else
    poolBackwardRows(pool, begin, end, static_cast<const int32_t*>(index.data), dy, dx);
}

int64_t outputSize(int64_t size, int64_t kernel, int64_t stride, int64_t pad) {
  CHECK(kernel > 0 && stride > 0 && pad >= 0 && pad <= kernel / 2 && size + 2 * pad >= kernel,
        "Expected positive kernel and stride, padding of at most half the kernel, and a kernel that fits for "
        "maxPool2d "
        "but received kernel ",
        kernel, ", stride ", stride, ", padding ", pad, " and size ", size);
  return (size + 2 * pad - kernel) / stride + 1;
}

DType indexType(const MaxPool2dParams& params) {
  return params.kernelH * params.kernelW <= 256 ? DType::UInt8 : DType::Int32;
}

Pool poolOf(const MaxPool2dParams& p, const Shape& x, const Shape& y, const Saved* saved) {
  checkRank("x", x, 4);
  const Pool pool{p,
                  x[1],
                  x[2],
                  x[3],
                  outputSize(x[1], p.kernelH, p.strideH, p.padH),
                  outputSize(x[2], p.kernelW, p.strideW, p.padW)};
  checkShape("y", y, Shape{x[0], pool.outHeight, pool.outWidth, x[3]});
  if (saved != nullptr)
    CHECK(saved->size() == 1 && (*saved)[0].shape == y && (*saved)[0].dtype == indexType(p),
          "Expected the saved state of maxPool2d with this kernel and the shape ", y);
  return pool;
}

/// Rows that are worth a thread.
int64_t rowGrain(int64_t width, const Pool& pool) { return 8192 / (width * pool.channels + 1) + 1; }

}  // namespace

std::vector<SavedSpec> maxPool2dSave(const MaxPool2dParams& params, const Shape&, const Shape& y) {
  return {SavedSpec::fresh(indexType(params), y)};
}

void maxPool2d(Context& context, const MaxPool2dParams& params, const Tensor& x, Tensor& y, Saved* saved) {
  const Pool pool = poolOf(params, x.shape, y.shape, saved);
  const float* in = x.f32();
  float* out = y.f32();
  const Tensor* index = saved != nullptr ? &saved->front() : nullptr;
  parallelFor(context.threads, x.shape[0] * pool.outHeight, rowGrain(pool.outWidth, pool),
              [&](int64_t begin, int64_t end) { poolRowsOf(pool, begin, end, in, out, index); });
}

void maxPool2dBackward(Context& context, const MaxPool2dParams& params, const Saved& saved, const Tensor& dy,
                       Tensor& dx) {
  const Pool pool = poolOf(params, dx.shape, dy.shape, &saved);
  const float* gradient = dy.f32();
  float* out = dx.f32();
  parallelFor(context.threads, dx.shape[0] * pool.height, rowGrain(pool.width, pool),
              [&](int64_t begin, int64_t end) {
                poolBackwardRowsOf(pool, begin, end, saved.front(), gradient, out);
              });
}

}  // namespace nodecudnn
