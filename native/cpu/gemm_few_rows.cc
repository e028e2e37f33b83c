#include <cstring>

#include "cpu/gemm.h"
#include "cpu/parallel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/// The product whose right side is far larger than its left: each element of b is read and packed once, by
/// the thread that owns its column, for all rows of a. (oneDNN's AVX2 sgemm reaches half of this with 128
/// rows.)
namespace nodecudnn {

#if defined(__x86_64__)
namespace {

constexpr int64_t kRows = 6, kColumns = 16;           // of a tile of c, held in registers
constexpr int64_t kDepth = 256, kBlockColumns = 256;  // of a block of b: 256 KiB
constexpr int64_t kBlockElements = kDepth * kBlockColumns;
constexpr int64_t kPrefetchRows =
    8;  // A row of b is a page away from the next: hardware does not see it coming.

int64_t roundUp(int64_t value, int64_t grain) { return (value + grain - 1) / grain * grain; }

/// Rows of `a` as panels of kRows: depth × kRows each, the last filled up with zeros.
void packRows(int64_t m, int64_t depth, const float* a, int64_t lda, float* packed) {
  for (int64_t row = 0; row < roundUp(m, kRows); ++row) {
    float* panel = packed + row / kRows * kRows * depth + row % kRows;
    for (int64_t i = 0; i < depth; ++i) panel[i * kRows] = row < m ? a[row * lda + i] : 0;
  }
}

/// Columns of `b` as panels of kColumns: depth × kColumns each, the last filled up with zeros.
void packColumns(int64_t depth, int64_t n, const float* b, int64_t ldb, float* packed) {
  for (int64_t i = 0; i < depth; ++i)
    for (int64_t column = 0; column < n; column += kColumns) {
      if (i + kPrefetchRows < depth) __builtin_prefetch(b + (i + kPrefetchRows) * ldb + column);
      float* target = packed + column * depth + i * kColumns;
      if (column + kColumns <= n) {
        std::memcpy(target, b + i * ldb + column, kColumns * sizeof(float));
      } else {
        std::memset(target, 0, kColumns * sizeof(float));
        std::memcpy(target, b + i * ldb + column, (n - column) * sizeof(float));
      }
    }
}

/// One tile: c (+)= panel of a · panel of b.
__attribute__((target("avx2,fma"))) void multiplyTile(int64_t depth, const float* a, const float* b, bool add,
                                                      float* c, int64_t ldc) {
  __m256 sum[kRows][2];
#pragma GCC unroll 6
  for (int64_t row = 0; row < kRows; ++row) {
    sum[row][0] = add ? _mm256_loadu_ps(c + row * ldc) : _mm256_setzero_ps();
    sum[row][1] = add ? _mm256_loadu_ps(c + row * ldc + 8) : _mm256_setzero_ps();
  }
  for (int64_t i = 0; i < depth; ++i, a += kRows, b += kColumns) {
    const __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
    for (int64_t row = 0; row < kRows; ++row) {
      const __m256 factor = _mm256_broadcast_ss(a + row);
      sum[row][0] = _mm256_fmadd_ps(factor, b0, sum[row][0]);
      sum[row][1] = _mm256_fmadd_ps(factor, b1, sum[row][1]);
    }
  }
#pragma GCC unroll 6
  for (int64_t row = 0; row < kRows; ++row) {
    _mm256_storeu_ps(c + row * ldc, sum[row][0]);
    _mm256_storeu_ps(c + row * ldc + 8, sum[row][1]);
  }
}

/// A tile at the edge of c, of which only rows × columns exist.
void multiplyEdge(int64_t depth, const float* a, const float* b, bool add, int64_t rows, int64_t columns,
                  float* c, int64_t ldc) {
  float tile[kRows * kColumns];
  multiplyTile(depth, a, b, false, tile, kColumns);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column) {
      float& target = c[row * ldc + column];
      target = tile[row * kColumns + column] + (add ? target : 0);
    }
}

/// The columns [begin, end) of c.
void multiplyColumns(int64_t m, int64_t begin, int64_t end, int64_t n, int64_t k, const float* a,
                     const float* b, float* c, float* packedB, float* packedA) {
  for (int64_t first = 0; first < k; first += kDepth) {
    const int64_t depth = std::min(kDepth, k - first);
    packRows(m, depth, a + first, k, packedA);
    for (int64_t block = begin; block < end; block += kBlockColumns) {
      const int64_t columns = std::min(kBlockColumns, end - block);
      packColumns(depth, columns, b + first * n + block, n, packedB);
      for (int64_t column = 0; column < columns; column += kColumns)
        for (int64_t row = 0; row < m; row += kRows) {
          const float* panelA = packedA + row * depth;
          const float* panelB = packedB + column * depth;
          float* tile = c + row * n + block + column;
          if (row + kRows <= m && column + kColumns <= columns)
            multiplyTile(depth, panelA, panelB, first > 0, tile, n);
          else
            multiplyEdge(depth, panelA, panelB, first > 0, std::min(kRows, m - row),
                         std::min(kColumns, columns - column), tile, n);
        }
    }
  }
}

}  // namespace

void gemmFewRows(Context& context, int64_t m, int64_t n, int64_t k, const float* a, const float* b,
                 float* c) {
  const int parts = static_cast<int>(std::min<int64_t>(context.threads, (n + kColumns - 1) / kColumns));
  const int64_t elements = kBlockElements + roundUp(m, kRows) * kDepth;
  float* const packed = context.workspace<float>(0, parts * elements);
  parallelFor(parts, parts, 1, [&](int64_t part, int64_t) {
    const int64_t panels = (n + kColumns - 1) / kColumns;
    const int64_t begin = panels * part / parts * kColumns,
                  end = std::min(n, panels * (part + 1) / parts * kColumns);
    float* const own = packed + part * elements;
    multiplyColumns(m, begin, end, n, k, a, b, c, own, own + kBlockElements);
  });
}

#else

void gemmFewRows(Context&, int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  gemm(false, false, m, n, k, a, k, b, n, 0, c, n);
}

#endif

}  // namespace nodecudnn
