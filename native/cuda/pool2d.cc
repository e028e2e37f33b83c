#include "cuda/context.h"
#include "cuda/descriptors.h"

namespace nodecudnn {
namespace {

struct Pooling {
  PoolingDescriptor pooling;
  TensorDescriptor x, y;
};

Pooling poolingOf(const MaxPool2dParams& p, const Shape& x, const Shape& y) {
  checkRank("x of maxPool2d", x, 4);
  CHECK(p.kernelH > 0 && p.kernelW > 0 && p.strideH > 0 && p.strideW > 0 && p.padH >= 0 && p.padW >= 0 &&
            p.padH <= p.kernelH / 2 && p.padW <= p.kernelW / 2,
        "Expected positive kernel and stride, and padding of at most half the kernel for maxPool2d");
  Pooling made{describe(p), describeNhwc(x[0], x[1], x[2], x[3]), nullptr};
  checkShape("y of maxPool2d", y, outputOf(made.pooling, made.x));
  made.y = describeNhwc(y[0], y[1], y[2], y[3]);
  return made;
}

}  // namespace

std::vector<SavedSpec> maxPool2dSave(const MaxPool2dParams&, const Shape&, const Shape&) {
  return {SavedSpec::x(), SavedSpec::y()};
}

void maxPool2d(Context& context, const MaxPool2dParams& params, const Tensor& x, Tensor& y, Saved*) {
  const Pooling p = poolingOf(params, x.shape, y.shape);
  const float one = 1, zero = 0;
  CUDA_CHECK(cudnnPoolingForward(context.cudnn(), p.pooling.get(), &one, p.x.get(), x.f32(), &zero, p.y.get(),
                                 y.f32()),
             "x ", x.shape);
}

void maxPool2dBackward(Context& context, const MaxPool2dParams& params, const Saved& saved, const Tensor& dy,
                       Tensor& dx) {
  CHECK(saved.size() == 2, "Expected x and y saved for maxPool2dBackward but received ", saved.size(),
        " tensors");
  const Tensor &x = saved[0], &y = saved[1];
  checkShape("dy of maxPool2d", dy.shape, y.shape);
  checkShape("dx of maxPool2d", dx.shape, x.shape);
  const Pooling p = poolingOf(params, x.shape, y.shape);
  const float one = 1, zero = 0;
  CUDA_CHECK(cudnnPoolingBackward(context.cudnn(), p.pooling.get(), &one, p.y.get(), y.f32(), p.y.get(),
                                  dy.f32(), p.x.get(), x.f32(), &zero, p.x.get(), dx.f32()),
             "x ", x.shape);
}

}  // namespace nodecudnn
