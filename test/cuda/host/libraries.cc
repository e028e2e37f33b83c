// What of the contract needs cuDNN or cuBLAS, which are not in this addon; of normalisation there are our
// kernels.
#include "cuda/context.h"

extern "C" {
cudnnStatus_t cudnnDestroy(cudnnHandle_t) { return CUDNN_STATUS_SUCCESS; }
cublasStatus_t cublasDestroy(cublasHandle_t) { return CUBLAS_STATUS_SUCCESS; }
}

namespace nodecudnn {
namespace {

[[noreturn]] void refuse() { throw Error(ErrorCode::Internal, "cuDNN and cuBLAS are not in this addon"); }

kernels::Lrn kernelOf(const LrnParams& p, const Shape& x) {
  return {x[3] / p.groups, p.size, static_cast<float>(p.alpha / static_cast<double>(p.size)),
          static_cast<float>(p.beta), static_cast<float>(p.k)};
}

}  // namespace

OwnedCudnn makeCudnn(cudaStream_t) { refuse(); }
OwnedCublas makeCublas(cudaStream_t, void*) { refuse(); }
std::vector<std::pair<std::string, std::string>> describeBackend() { return {}; }

void conv2d(Context&, const Conv2dParams&, const Tensor&, const Tensor&, const Tensor*, Tensor&) { refuse(); }
void conv2dBackwardData(Context&, const Conv2dParams&, const Tensor&, const Tensor&, Tensor&) { refuse(); }
void conv2dBackwardFilter(Context&, const Conv2dParams&, const Tensor&, const Tensor&, Tensor&) { refuse(); }
void linear(Context&, const LinearParams&, const Tensor&, const Tensor&, const Tensor*, Tensor&) { refuse(); }
void linearBackwardData(Context&, const Tensor&, const Tensor&, Tensor&) { refuse(); }
void linearBackwardWeight(Context&, const Tensor&, const Tensor&, Tensor&) { refuse(); }
void matmul(Context&, const MatmulParams&, const Tensor&, const Tensor&, Tensor&) { refuse(); }
std::vector<SavedSpec> maxPool2dSave(const MaxPool2dParams&, const Shape&, const Shape&) { return {}; }
void maxPool2d(Context&, const MaxPool2dParams&, const Tensor&, Tensor&, Saved*) { refuse(); }
void maxPool2dBackward(Context&, const MaxPool2dParams&, const Saved&, const Tensor&, Tensor&) { refuse(); }

std::vector<SavedSpec> lrnSave(const LrnParams&, const Shape&, const Shape&) { return {SavedSpec::x()}; }
void lrn(Context& context, const LrnParams& params, const Tensor& x, Tensor& y, Saved*) {
  kernels::lrn(context.stream(), x.count(), kernelOf(params, x.shape), x.f32(), y.f32());
}
void lrnBackward(Context& context, const LrnParams& params, const Saved& saved, const Tensor& dy,
                 Tensor& dx) {
  const Tensor& x = saved.at(0);
  kernels::lrnBackward(context.stream(), x.count(), kernelOf(params, x.shape), x.f32(), dy.f32(), dx.f32());
}

}  // namespace nodecudnn
