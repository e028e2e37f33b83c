#include "core/ops.h"
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
  const int64_t m = x.shape[0], n = w.shape[0], k = w.shape[1];
  checkShape("x of linear", x.shape, {m, k});
  checkShape("y of linear", y.shape, {m, n});
  if (bias != nullptr) checkShape("bias of linear", bias->shape, {n});
  gemm(context, false, true, m, n, k, x.f32(), w.f32(), y.f32());
  if (bias != nullptr || params.relu)
    kernels::addBiasRelu(context.stream(), m, n, bias != nullptr ? bias->f32() : nullptr, params.relu,
                         y.f32());
}

void linearBackwardData(Context& context, const Tensor& dy, const Tensor& w, Tensor& dx) {
  const int64_t m = dy.shape[0], n = w.shape[1], k = w.shape[0];
  checkShape("dy of linear", dy.shape, {m, k});
  checkShape("dx of linear", dx.shape, {m, n});
  gemm(context, false, false, m, n, k, dy.f32(), w.f32(), dx.f32());
}

void linearBackwardWeight(Context& context, const Tensor& x, const Tensor& dy, Tensor& dw) {
  const int64_t m = dy.shape[1], n = x.shape[1], k = x.shape[0];
  checkShape("dy of linear", dy.shape, {k, m});
  checkShape("dw of linear", dw.shape, {m, n});
  gemm(context, true, false, m, n, k, dy.f32(), x.f32(), dw.f32());
}

void matmul(Context& context, const MatmulParams& params, const Tensor& a, const Tensor& b, Tensor& y) {
  checkRank("a of matmul", a.shape, 2);
  const int64_t m = a.shape[params.transposeA ? 1 : 0], k = a.shape[params.transposeA ? 0 : 1];
  const int64_t n = b.shape[params.transposeB ? 0 : 1];
  checkShape("b of matmul", b.shape, params.transposeB ? Shape{n, k} : Shape{k, n});
  checkShape("y of matmul", y.shape, {m, n});
  gemm(context, params.transposeA, params.transposeB, m, n, k, a.f32(), b.f32(), y.f32());
}

}  // namespace nodecudnn
