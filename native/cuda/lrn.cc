#include "cuda/context.h"
#include "cuda/descriptors.h"

namespace nodecudnn {
namespace {

void check(const LrnParams& params, const Tensor& x, const Tensor& y) {
  checkRank("x of lrn", x.shape, 4);
  CHECK(x.shape[3] > 0 && params.groups > 0 && x.shape[3] % params.groups == 0,
        "Expected channels divisible by groups = ", params.groups, " for lrn but received shape ", x.shape);
  CHECK(params.size > 0, "Expected positive size for lrn but received ", params.size);
  checkShape("y", y.shape, x.shape);
}

/// Groups are neighbours in memory: as a picture that is so many times as wide none sees another.
TensorDescriptor describeGroups(const Shape& x, int64_t groups) {
  return describeNhwc(x[0], x[1], x[2] * groups, x[3] / groups);
}

kernels::Lrn kernelOf(const LrnParams& p, const Shape& x) {
  return {x[3] / p.groups, p.size, static_cast<float>(p.alpha / static_cast<double>(p.size)),
          static_cast<float>(p.beta), static_cast<float>(p.k)};
}

}  // namespace

std::vector<SavedSpec> lrnSave(const LrnParams& params, const Shape&, const Shape&) {
  if (isForCudnn(params)) return {SavedSpec::x(), SavedSpec::y()};
  return {SavedSpec::x()};
}

void lrn(Context& context, const LrnParams& params, const Tensor& x, Tensor& y, Saved*) {
  check(params, x, y);
  if (!isForCudnn(params))
    return kernels::lrn(context.stream(), x.count(), kernelOf(params, x.shape), x.f32(), y.f32());
  const LrnDescriptor descriptor = describe(params);
  const TensorDescriptor tensor = describeGroups(x.shape, params.groups);
  const float one = 1, zero = 0;
  CUDA_CHECK(cudnnLRNCrossChannelForward(context.cudnn(), descriptor.get(), CUDNN_LRN_CROSS_CHANNEL_DIM1,
                                         &one, tensor.get(), x.f32(), &zero, tensor.get(), y.f32()),
             "x ", x.shape, " in ", params.groups, " groups");
}

void lrnBackward(Context& context, const LrnParams& params, const Saved& saved, const Tensor& dy,
                 Tensor& dx) {
  CHECK(saved.size() == (isForCudnn(params) ? 2 : 1), "Expected what lrn saved for lrnBackward but received ",
        saved.size(), " tensors");
  const Tensor& x = saved[0];
  check(params, x, dy);
  checkShape("dx", dx.shape, x.shape);
  if (!isForCudnn(params))
    return kernels::lrnBackward(context.stream(), x.count(), kernelOf(params, x.shape), x.f32(), dy.f32(),
                                dx.f32());
  const LrnDescriptor descriptor = describe(params);
  const TensorDescriptor tensor = describeGroups(x.shape, params.groups);
  const float one = 1, zero = 0;
  CUDA_CHECK(cudnnLRNCrossChannelBackward(context.cudnn(), descriptor.get(), CUDNN_LRN_CROSS_CHANNEL_DIM1,
                                          &one, tensor.get(), saved[1].f32(), tensor.get(), dy.f32(),
                                          tensor.get(), x.f32(), &zero, tensor.get(), dx.f32()),
             "x ", x.shape, " in ", params.groups, " groups");
}

}  // namespace nodecudnn
