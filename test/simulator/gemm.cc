#include "simulator/gemm.h"

#include <algorithm>
#include <vector>

#define CLONES __attribute__((target_clones("default", "arch=haswell")))

namespace simulator {
namespace {

/// Columns of c at once, and how many products are summed in float before the sum goes into a double.
constexpr int64_t kColumns = 8, kDepth = 256, kRows = 256;

/// sums[j][i] += Σ a[l·lda + i] · b[j][l], with the columns of `a` in memory.
CLONES void addColumns(int64_t rows, int64_t columns, int64_t depth, const float* a, int64_t lda,
                       const float (*b)[kDepth], double (*sums)[kRows]) {
  float partial[kColumns][kRows] = {};
  for (int64_t l = 0; l < depth; ++l)
    for (int64_t j = 0; j < columns; ++j) {
      const float factor = b[j][l];
      const float* column = a + l * lda;
      for (int64_t i = 0; i < rows; ++i) partial[j][i] += column[i] * factor;
    }
  for (int64_t j = 0; j < columns; ++j)
    for (int64_t i = 0; i < rows; ++i) sums[j][i] += partial[j][i];
}

/// The same with the rows of `a` in memory: a[i·lda + l].
CLONES void addRows(int64_t rows, int64_t columns, int64_t depth, const float* a, int64_t lda,
                    const float (*b)[kDepth], double (*sums)[kRows]) {
  constexpr int64_t kLanes = 16;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      const float* row = a + i * lda;
      float lanes[kLanes] = {};
      int64_t l = 0;
      for (; l + kLanes <= depth; l += kLanes)
        for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += row[l + lane] * b[j][l + lane];
      double sum = 0;
      for (; l < depth; ++l) sum += static_cast<double>(row[l]) * b[j][l];
      for (float lane : lanes) sum += lane;
      sums[j][i] += sum;
    }
}

}  // namespace

void gemm(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  // On the heap: a thread's stack may be small.
  struct Scratch {
    float b[kColumns][kDepth];
    double sums[kColumns][kRows];
  };
  std::vector<Scratch> scratch(1);
  auto& [pack, sums] = scratch.front();
  for (int64_t j = 0; j < n; j += kColumns)
    for (int64_t i = 0; i < m; i += kRows) {
      const int64_t columns = std::min(kColumns, n - j), rows = std::min(kRows, m - i);
      for (auto& column : sums) std::fill(column, column + rows, 0.0);
      for (int64_t l = 0; l < k; l += kDepth) {
        const int64_t depth = std::min(kDepth, k - l);
        for (int64_t y = 0; y < columns; ++y)
          for (int64_t x = 0; x < depth; ++x)
            pack[y][x] = transposeB ? b[(l + x) * ldb + j + y] : b[(j + y) * ldb + l + x];
        if (transposeA)
          addRows(rows, columns, depth, a + i * lda + l, lda, pack, sums);
        else
          addColumns(rows, columns, depth, a + l * lda + i, lda, pack, sums);
      }
      for (int64_t y = 0; y < columns; ++y)
        for (int64_t x = 0; x < rows; ++x) {
          float& out = c[(j + y) * ldc + i + x];
          const double product = alpha * sums[y][x];
          out = static_cast<float>(beta == 0 ? product : product + static_cast<double>(beta) * out);
        }
    }
}

}  // namespace simulator
