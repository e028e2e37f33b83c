#pragma once
#include "cpu/context.h"

namespace nodecudnn {

/// Row-major c[m,n] = op(a)[m,k] · op(b)[k,n] + beta · c. Inside a parallel region it runs on the calling
/// thread alone, elsewhere on all threads of the device.
void gemm(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
          const float* b, int64_t ldb, float beta, float* c, int64_t ldc);

/// Row-major c[m,n] = a[m,k] · b[k,n] by a kernel of our own (AVX2), for few rows.
void gemmFewRows(Context& context, int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c);

/// The products of few rows in which the weights w[n,k] cost more than the arithmetic, each element of them
/// touched once, with AVX2: y[m,n] = x[m,k] · wᵀ, dx[m,k] = dy[m,n] · w, and dw[n,k] = dyᵀ · x.
void readOnce(Context& context, int64_t m, int64_t n, int64_t k, const float* x, const float* w, float* y);
void readOnceBack(Context& context, int64_t m, int64_t n, int64_t k, const float* dy, const float* w,
                  float* dx);
void writeOnce(Context& context, int64_t m, int64_t n, int64_t k, const float* dy, const float* x, float* dw);

/// y = relu?(y + bias) in `rows` rows of `columns`, `ld` elements apart. `bias` may be null.
void addBiasRelu(int64_t rows, int64_t columns, int64_t ld, const float* bias, bool relu, float* y);

/// y += x
void addTo(Context& context, int64_t count, const float* x, float* y);

}  // namespace nodecudnn
