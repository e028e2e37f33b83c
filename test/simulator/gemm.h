#pragma once
#include <cstdint>

namespace simulator {

/// By columns, as cuBLAS counts: c[m,n] = alpha · op(a)[m,k] · op(b)[k,n] + beta · c. With beta 0 c is not
/// read.
void gemm(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc);

}  // namespace simulator
