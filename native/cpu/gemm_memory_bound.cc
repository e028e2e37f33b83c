#include "cpu/gemm.h"
#include "cpu/kernel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/// Products of so few rows that the weights are what they cost: these are read, or written, once, as fast as
/// memory is. (oneDNN's sgemm takes 1.1 times as long to read them, for the data gradient 1.1 to 1.3 times
/// with AVX-512 and 1.0 to 1.5 with AVX2, and 1.4 times to write.)
namespace nodecudnn {
namespace {

/// c[i] += Σ a[row] · b[row, i] over kRows rows of b, `ldb` elements apart: as many rows as are needed for c,
/// which is in the first-level cache, to cost little beside them.
template <int kRows>
INLINE void addRows(int64_t count, const float* __restrict a, const float* __restrict b, int64_t ldb,
                    float* __restrict c) {
  for (int64_t i = 0; i < count; ++i) {
    float sum = 0;
    for (int row = 0; row < kRows; ++row) sum += a[row] * b[row * ldb + i];
    c[i] += sum;
  }
}

}  // namespace

void readOnceBack(Context& context, int64_t m, int64_t n, int64_t k, const float* dy, const float* w,
                  float* dx) {
  constexpr int kRows = 8;
  constexpr int64_t kColumns = 1024;
  parallelFor(context.threads, k, 16, [&](int64_t begin, int64_t end) {
    forIsa(context.isa, [&](auto) INLINE_LAMBDA {
      for (int64_t first = begin; first < end; first += kColumns) {
        const int64_t count = std::min(kColumns, end - first);
        for (int64_t i = 0; i < m; ++i) std::fill_n(dx + i * k + first, count, 0.f);
        int64_t row = 0;
        for (; row + kRows <= n; row += kRows)
          for (int64_t i = 0; i < m; ++i)
            addRows<kRows>(count, dy + i * n + row, w + row * k + first, k, dx + i * k + first);
        for (; row < n; ++row)
          for (int64_t i = 0; i < m; ++i)
            addRows<1>(count, dy + i * n + row, w + row * k + first, k, dx + i * k + first);
      }
    });
  });
}

#if defined(__x86_64__)
namespace {

/// y[r] = Σ x[i] · w[r, i] for kRows rows r of w: as many streams of reading as pay.
template <int kRows>
__attribute__((target("avx2,fma"))) void dotRows(int64_t k, const float* x, const float* w, float* y) {
  constexpr int kParts = 2;
  __m256 sums[kRows][kParts];
  for (auto& row : sums)
    for (__m256& sum : row) sum = _mm256_setzero_ps();
  int64_t i = 0;
  for (; i + 8 * kParts <= k; i += 8 * kParts)
    for (int r = 0; r < kRows; ++r)
      for (int part = 0; part < kParts; ++part)
        sums[r][part] = _mm256_fmadd_ps(_mm256_loadu_ps(x + i + 8 * part),
                                        _mm256_loadu_ps(w + r * k + i + 8 * part), sums[r][part]);
  for (int r = 0; r < kRows; ++r) {
    float lanes[8];
    _mm256_storeu_ps(lanes, _mm256_add_ps(sums[r][0], sums[r][1]));
    float sum = 0;
    for (float lane : lanes) sum += lane;
    for (int64_t rest = i; rest < k; ++rest) sum += x[rest] * w[r * k + rest];
    y[r] = sum;
  }
}

/// c[i] = Σ a[row] · b[row, i] over m rows, `lda` and `k` elements apart. Written past the caches, which
/// would read each line first.
__attribute__((target("avx2,fma"))) void combineRows(int64_t m, int64_t k, const float* a, int64_t lda,
                                                     const float* b, float* c) {
  const auto one = [&](int64_t i) {
    c[i] = 0;
    for (int64_t row = 0; row < m; ++row) c[i] += a[row * lda] * b[row * k + i];
  };
  int64_t i = 0;
  for (; i < k && reinterpret_cast<uintptr_t>(c + i) % sizeof(__m256) != 0; ++i) one(i);
  for (; i + 8 <= k; i += 8) {
    __m256 sum = _mm256_setzero_ps();
    for (int64_t row = 0; row < m; ++row)
      sum = _mm256_fmadd_ps(_mm256_broadcast_ss(a + row * lda), _mm256_loadu_ps(b + row * k + i), sum);
    _mm256_stream_ps(c + i, sum);
  }
  for (; i < k; ++i) one(i);
  _mm_sfence();
}

}  // namespace

void readOnce(Context& context, int64_t m, int64_t n, int64_t k, const float* x, const float* w, float* y) {
  constexpr int kRows = 4;
  parallelFor(context.threads, n, kRows, [&](int64_t begin, int64_t end) {
    int64_t r = begin;
    for (; r + kRows <= end; r += kRows)
      for (int64_t row = 0; row < m; ++row) dotRows<kRows>(k, x + row * k, w + r * k, y + row * n + r);
    for (; r < end; ++r)
      for (int64_t row = 0; row < m; ++row) dotRows<1>(k, x + row * k, w + r * k, y + row * n + r);
  });
}

void writeOnce(Context& context, int64_t m, int64_t n, int64_t k, const float* dy, const float* x,
               float* dw) {
  parallelFor(context.threads, n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) combineRows(m, k, dy + r, n, x, dw + r * k);
  });
}

#else

void readOnce(Context&, int64_t m, int64_t n, int64_t k, const float* x, const float* w, float* y) {
  gemm(false, true, m, n, k, x, k, w, k, 0, y, n);
}
void writeOnce(Context&, int64_t m, int64_t n, int64_t k, const float* dy, const float* x, float* dw) {
  gemm(true, false, n, k, m, dy, n, x, k, 0, dw, k);
}

#endif

}  // namespace nodecudnn
