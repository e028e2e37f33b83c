#include "core/arguments.h"
#include "cuda/context.h"

namespace nodecudnn {
namespace {

/// Row-major c[m,n] = op(a)[m,k] · op(b)[k,n]. cuBLAS counts by columns, and so sees each matrix transposed:
/// cᵀ = op(b)ᵀ · op(a)ᵀ is the same product.
void gemm(Context& context, bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, const float* a,
          const float* b, float* c) {
  const float one = 1, zero = 0;
  CUDA_CHECK(cublasSgemm_64(context.cublas(), transposeB ? CUBLAS_OP_T : CUBLAS_OP_N,
                            transposeA ? CUBLAS_OP_T : CUBLAS_OP_N, n, m, k, &one, b, transposeB ? k : n, a,
                            transposeA ? m : k, &zero, c, n),
             "a product of ", m, " × ", k, " and ", k, " × ", n);
}

}  // namespace

void linear(Context& context, const LinearParams& params, const Tensor& x, const Tensor& w,
            const Tensor* bias, Tensor& y) {
  const auto [m, n, k] = productOfLinear(x, w, bias, y);
  gemm(context, false, true, m, n, k, x.f32(), w.f32(), y.f32());
  if (bias != nullptr || params.relu)
    kernels::addBiasRelu(context.stream(), m, n, bias != nullptr ? bias->f32() : nullptr, params.relu,
                         y.f32());
}

void linearBackwardData(Context& context, const Tensor& dy, const Tensor& w, Tensor& dx) {
  const auto [m, n, k] = productOfLinearData(dy, w, dx);
  gemm(context, false, false, m, n, k, dy.f32(), w.f32(), dx.f32());
}

void linearBackwardWeight(Context& context, const Tensor& x, const Tensor& dy, Tensor& dw) {
  const auto [m, n, k] = productOfLinearWeight(x, dy, dw);
  gemm(context, true, false, m, n, k, dy.f32(), x.f32(), dw.f32());
}

void matmul(Context& context, const MatmulParams& params, const Tensor& a, const Tensor& b, Tensor& y) {
  const auto [m, n, k] = productOfMatmul(params, a, b, y);
  gemm(context, params.transposeA, params.transposeB, m, n, k, a.f32(), b.f32(), y.f32());
}

}  // namespace nodecudnn
