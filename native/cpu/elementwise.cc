#include <algorithm>
#include <cstring>
#include <vector>

#include "core/arguments.h"
#include "cpu/kernel.h"

// `ivdep`: outputs may be inputs, but each iteration only writes what it alone reads.

namespace nodecudnn {
namespace {

constexpr int64_t kGrain = 16384;

SIMD_CLONES void reluRange(int64_t count, const float* x, float* y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] < 0 ? 0 : x[i];
}

SIMD_CLONES void reluBackwardRange(int64_t count, const float* y, const float* dy, float* dx) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const float gradient = dy[i];
    dx[i] = y[i] > 0 ? gradient : 0;
  }
}

/// tanh(t / 2) = (e^t - 1) / (e^t + 1) within 3e-7, for |t| <= 20. e^t = 2^n · e^r with n the integer nearest
/// to t / ln 2, and e^t - 1 is formed from 2^n - 1 and e^r - 1, so that nothing is lost near zero. Constants
/// after Moshier's Cephes (expf).
INLINE float tanhOfHalf(float t) {
  const float shifted = t * 1.44269504f + 12582912.0f;  // + 1.5 · 2^23 rounds, and leaves n in the low bits.
  const float n = shifted - 12582912.0f;
  const float r = (t - n * 0.693359375f) + n * 2.12194440e-4f;
  float rest = 0.00139819994569f + r * 0.000198756916099f;
  rest = 0.00833345390856f + r * rest;
  rest = 0.0416657958206f + r * rest;
  rest = 0.166666654594f + r * rest;
  rest = 0.50000001201f + r * rest;
  rest = r + r * r * rest;
  int32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = static_cast<int32_t>((static_cast<uint32_t>(bits) + 127) << 23);
  float power;
  std::memcpy(&power, &bits, sizeof power);
  const float exponential = power * rest + (power - 1);
  return exponential / (exponential + 2);
}

/// Limiting is a loop of its own: within the other, GCC branches to the limits' tanh as a constant.
SIMD_CLONES void tanhRange(int64_t count, const float* x, float* y) {
  for (int64_t at = 0; at < count; at += 1024) {
    const int64_t end = std::min(at + 1024, count);
    for (int64_t i = at; i < end; ++i) {
      const float t = 2 * x[i];
      y[i] = t > 20 ? 20 : t < -20 ? -20 : t;
    }
    for (int64_t i = at; i < end; ++i) y[i] = tanhOfHalf(y[i]);
  }
}

SIMD_CLONES void tanhBackwardRange(int64_t count, const float* y, const float* dy, float* dx) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) dx[i] = dy[i] * (1 - y[i] * y[i]);
}

SIMD_CLONES void addRange(int64_t count, const float* a, const float* b, float* y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}

SIMD_CLONES void scaleRange(int64_t count, float factor, const float* x, float* y) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] * factor;
}

/// body(row) for each row of two tensors side by side.
template <class Body>
void eachRow(Context& context, const Columns& columns, Body body) {
  const int64_t grain = kGrain / std::max<int64_t>(1, columns.left + columns.right) + 1;
  parallelFor(context.threads, columns.rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) body(row);
  });
}

template <class T>
void fillWith(Context& context, T* data, int64_t count, T value) {
  parallelFor(context.threads, count, kGrain,
              [&](int64_t begin, int64_t end) { std::fill(data + begin, data + end, value); });
}

// ---- Bias and ReLU ----

/// Rows are summed in tiles, in float, and tiles in chunks, in double; neither depends on the threads.
constexpr int64_t kTileRows = 64;
constexpr int64_t kMaxChunks = 64;

/// dz = y > 0 ? dy : 0 and sums += Σ dz over `kRows` rows; without the mask dz is dy.
template <int64_t kRows, bool kMask, bool kWrite>
INLINE void biasReluGroup(int64_t channels, const float* y, const float* dy, float* dz, float* sums) {
#pragma GCC ivdep
  for (int64_t c = 0; c < channels; ++c) {
    float z[kRows];
    for (int64_t r = 0; r < kRows; ++r) {
      const int64_t i = r * channels + c;
      z[r] = dy[i];
      if (kMask) z[r] = y[i] > 0 ? z[r] : 0;
      if (kWrite) dz[i] = z[r];
    }
    sums[c] += kRows == 4 ? (z[0] + z[1]) + (z[2] + z[3]) : z[0];
  }
}

template <bool kMask, bool kWrite>
INLINE void biasReluRows(int64_t rows, int64_t channels, const float* y, const float* dy, float* dz,
                         float* sums) {
  for (int64_t row = 0; row < rows;) {
    const int64_t at = row * channels;
    const float* mask = kMask ? y + at : nullptr;
    float* to = kWrite ? dz + at : nullptr;
    if (row + 4 <= rows) {
      biasReluGroup<4, kMask, kWrite>(channels, mask, dy + at, to, sums);
      row += 4;
    } else {
      biasReluGroup<1, kMask, kWrite>(channels, mask, dy + at, to, sums);
      ++row;
    }
  }
}

/// `tile` is memory for one row.
SIMD_CLONES void biasReluChunk(int64_t begin, int64_t end, int64_t channels, const float* y, const float* dy,
                               float* dz, float* __restrict tile, double* __restrict sums) {
  std::fill(sums, sums + channels, 0.0);
  for (int64_t row = begin; row < end; row += kTileRows) {
    const int64_t rows = std::min(kTileRows, end - row), at = row * channels;
    std::fill(tile, tile + channels, 0.0f);
    if (y == nullptr)
      biasReluRows<false, false>(rows, channels, nullptr, dy + at, nullptr, tile);
    else if (dz == nullptr)
      biasReluRows<true, false>(rows, channels, y + at, dy + at, nullptr, tile);
    else
      biasReluRows<true, true>(rows, channels, y + at, dy + at, dz + at, tile);
    for (int64_t c = 0; c < channels; ++c) sums[c] += tile[c];
  }
}

}  // namespace

void biasReluBackward(Context& context, const Tensor* y, const Tensor& dy, Tensor* dz, Tensor* dbias) {
  const int64_t channels = channelsOfBiasRelu(y, dy, dz, dbias);
  if (dbias == nullptr) {
    if (dz != nullptr) reluBackward(context, *y, dy, *dz);
    return;
  }
  const float *mask = y != nullptr ? y->f32() : nullptr, *gradient = dy.f32();
  float *out = dz != nullptr ? dz->f32() : nullptr, *sum = dbias->f32();

  const int64_t rows = channels > 0 ? dy.count() / channels : 0;
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  const int64_t chunkRows = (tiles + kMaxChunks - 1) / kMaxChunks * kTileRows;
  const int64_t chunks = chunkRows > 0 ? (rows + chunkRows - 1) / chunkRows : 0;
  double* partial = context.workspace<double>(0, chunks * channels);
  parallelFor(context.threads, chunks, kGrain / (chunkRows * channels + 1) + 1,
              [&](int64_t begin, int64_t end) {
                std::vector<float> tile(channels);
                for (int64_t chunk = begin; chunk < end; ++chunk)
                  biasReluChunk(chunk * chunkRows, std::min((chunk + 1) * chunkRows, rows), channels, mask,
                                gradient, out, tile.data(), partial + chunk * channels);
              });
  for (int64_t c = 0; c < channels; ++c) {
    double total = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) total += partial[chunk * channels + c];
    sum[c] = static_cast<float>(total);
  }
}

// ---- One element at a time ----

void relu(Context& context, const Tensor& x, Tensor& y) {
  checkShape("y", y.shape, x.shape);
  const float* in = x.f32();
  float* out = y.f32();
  parallelFor(context.threads, x.count(), kGrain,
              [&](int64_t begin, int64_t end) { reluRange(end - begin, in + begin, out + begin); });
}

void reluBackward(Context& context, const Tensor& y, const Tensor& dy, Tensor& dx) {
  checkShape("dy", dy.shape, y.shape);
  checkShape("dx", dx.shape, y.shape);
  const float *mask = y.f32(), *gradient = dy.f32();
  float* out = dx.f32();
  parallelFor(context.threads, y.count(), kGrain, [&](int64_t begin, int64_t end) {
    reluBackwardRange(end - begin, mask + begin, gradient + begin, out + begin);
  });
}

void tanh(Context& context, const Tensor& x, Tensor& y) {
  checkShape("y", y.shape, x.shape);
  const float* in = x.f32();
  float* out = y.f32();
  parallelFor(context.threads, x.count(), kGrain,
              [&](int64_t begin, int64_t end) { tanhRange(end - begin, in + begin, out + begin); });
}

void tanhBackward(Context& context, const Tensor& y, const Tensor& dy, Tensor& dx) {
  checkShape("dy", dy.shape, y.shape);
  checkShape("dx", dx.shape, y.shape);
  const float *value = y.f32(), *gradient = dy.f32();
  float* out = dx.f32();
  parallelFor(context.threads, y.count(), kGrain, [&](int64_t begin, int64_t end) {
    tanhBackwardRange(end - begin, value + begin, gradient + begin, out + begin);
  });
}

void add(Context& context, const Tensor& a, const Tensor& b, Tensor& y) {
  checkShape("b", b.shape, a.shape);
  checkShape("y", y.shape, a.shape);
  const float *left = a.f32(), *right = b.f32();
  float* out = y.f32();
  parallelFor(context.threads, a.count(), kGrain, [&](int64_t begin, int64_t end) {
    addRange(end - begin, left + begin, right + begin, out + begin);
  });
}

void cat(Context& context, const Tensor& a, const Tensor& b, Tensor& y) {
  const Columns columns = columnsOfCat(&a, &b, y);
  const float *left = a.f32(), *right = b.f32();
  float* out = y.f32();
  eachRow(context, columns, [&](int64_t row) {
    float* const to = out + row * (columns.left + columns.right);
    std::copy_n(left + row * columns.left, columns.left, to);
    std::copy_n(right + row * columns.right, columns.right, to + columns.left);
  });
}

void catBackward(Context& context, const Tensor& dy, Tensor* da, Tensor* db) {
  if (da == nullptr && db == nullptr) return;
  const Columns columns = columnsOfCat(da, db, dy);
  const float* in = dy.f32();
  float* const left = da != nullptr ? da->f32() : nullptr;
  float* const right = db != nullptr ? db->f32() : nullptr;
  eachRow(context, columns, [&](int64_t row) {
    const float* const from = in + row * (columns.left + columns.right);
    if (left != nullptr) std::copy_n(from, columns.left, left + row * columns.left);
    if (right != nullptr) std::copy_n(from + columns.left, columns.right, right + row * columns.right);
  });
}

void scale(Context& context, const ScaleParams& params, const Tensor& x, Tensor& y) {
  checkShape("y", y.shape, x.shape);
  const float factor = static_cast<float>(params.factor);
  const float* in = x.f32();
  float* out = y.f32();
  parallelFor(context.threads, x.count(), kGrain,
              [&](int64_t begin, int64_t end) { scaleRange(end - begin, factor, in + begin, out + begin); });
}

void fill(Context& context, const FillParams& params, Tensor& y) {
  switch (y.dtype) {
    case DType::Float32:
      return fillWith(context, y.f32(), y.count(), static_cast<float>(params.value));
    case DType::Int32:
      return fillWith(context, y.i32(), y.count(), static_cast<int32_t>(params.value));
    case DType::UInt8:
      return fillWith(context, y.u8(), y.count(), static_cast<uint8_t>(params.value));
  }
}

}  // namespace nodecudnn
