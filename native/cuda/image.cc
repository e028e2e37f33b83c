#include "core/arguments.h"
#include "cuda/context.h"

namespace nodecudnn {

/// Whether the crops lie in their images the kernel checks.
void prepareImages(Context& context, const PrepareImagesParams& params, const Tensor& images,
                   const Tensor& crops, const Tensor& mean, const Tensor& scale, const Tensor* shift,
                   Tensor& y) {
  const bool meanIsImage = isMeanImage(params, images, crops, mean, scale, shift, y);
  const int64_t count = images.shape[0], height = images.shape[1], width = images.shape[2];
  const kernels::Crops all{count,        height,     width,       params.cropH,
                           params.cropW, y.shape[1], y.shape[2],  images.u8(),
                           crops.i32(),  mean.f32(), scale.f32(), shift != nullptr ? shift->f32() : nullptr,
                           meanIsImage,  y.f32()};
  kernels::prepareImages(context.stream(), all, context.fault());
}

}  // namespace nodecudnn
