#include "core/ops.h"
#include "cuda/context.h"

namespace nodecudnn {

/// Whether the crops lie in their images the kernel checks.
void prepareImages(Context& context, const Tensor& images, const Tensor& crops, const Tensor& mean,
                   const Tensor& scale, const Tensor* shift, Tensor& y) {
  checkRank("images", images.shape, 4);
  checkRank("y", y.shape, 4);
  const int64_t count = images.shape[0], height = images.shape[1], width = images.shape[2];
  CHECK(images.shape[3] == 3, "Expected 3 channels for images but received shape ", images.shape);
  CHECK(y.shape[1] > 0 && y.shape[2] > 0, "Expected a positive size for y but received shape ", y.shape);
  checkShape("y", y.shape, Shape{count, y.shape[1], y.shape[2], 3});
  checkShape("crops", crops.shape, Shape{count, 3});
  checkShape("scale", scale.shape, Shape{3});
  if (shift != nullptr) checkShape("shift", shift->shape, Shape{count, 3});
  const bool meanIsImage = mean.shape.rank() == 3;
  checkShape("mean", mean.shape, meanIsImage ? Shape{height, width, 3} : Shape{3});
  const kernels::Crops all{
      count,       height,      width,      y.shape[1],  y.shape[2],
      images.u8(), crops.i32(), mean.f32(), scale.f32(), shift != nullptr ? shift->f32() : nullptr,
      meanIsImage, y.f32()};
  kernels::prepareImages(context.stream(), all, context.fault());
}

}  // namespace nodecudnn
