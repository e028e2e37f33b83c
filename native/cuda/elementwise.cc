#include "core/arguments.h"
#include "cuda/context.h"

namespace nodecudnn {

void biasReluBackward(Context& context, const Tensor* y, const Tensor& dy, Tensor* dz, Tensor* dbias) {
  const int64_t channels = channelsOfBiasRelu(y, dy, dz, dbias);
  if (dbias == nullptr) {
    if (dz != nullptr) reluBackward(context, *y, dy, *dz);
    return;
  }
  const int64_t rows = channels > 0 ? dy.count() / channels : 0;
  double* partials = context.workspace<double>(kernels::columnSumChunks(rows) * channels);
  kernels::biasReluBackward(context.stream(), rows, channels, y != nullptr ? y->f32() : nullptr, dy.f32(),
                            dz != nullptr ? dz->f32() : nullptr, partials, dbias->f32());
}

void relu(Context& context, const Tensor& x, Tensor& y) {
  checkShape("y", y.shape, x.shape);
  kernels::relu(context.stream(), x.count(), x.f32(), y.f32());
}

void reluBackward(Context& context, const Tensor& y, const Tensor& dy, Tensor& dx) {
  checkShape("dy", dy.shape, y.shape);
  checkShape("dx", dx.shape, y.shape);
  kernels::reluBackward(context.stream(), y.count(), y.f32(), dy.f32(), dx.f32());
}

void tanh(Context& context, const Tensor& x, Tensor& y) {
  checkShape("y", y.shape, x.shape);
  kernels::tanh(context.stream(), x.count(), x.f32(), y.f32());
}

void tanhBackward(Context& context, const Tensor& y, const Tensor& dy, Tensor& dx) {
  checkShape("dy", dy.shape, y.shape);
  checkShape("dx", dx.shape, y.shape);
  kernels::tanhBackward(context.stream(), y.count(), y.f32(), dy.f32(), dx.f32());
}

void add(Context& context, const Tensor& a, const Tensor& b, Tensor& y) {
  checkShape("b", b.shape, a.shape);
  checkShape("y", y.shape, a.shape);
  kernels::add(context.stream(), a.count(), a.f32(), b.f32(), y.f32());
}

void cat(Context& context, const Tensor& a, const Tensor& b, Tensor& y) {
  const auto [rows, left, right] = columnsOfCat(&a, &b, y);
  kernels::cat(context.stream(), rows, left, right, a.f32(), b.f32(), y.f32());
}

void catBackward(Context& context, const Tensor& dy, Tensor* da, Tensor* db) {
  if (da == nullptr && db == nullptr) return;
  const auto [rows, left, right] = columnsOfCat(da, db, dy);
  kernels::catBackward(context.stream(), rows, left, right, dy.f32(), da != nullptr ? da->f32() : nullptr,
                       db != nullptr ? db->f32() : nullptr);
}

void scale(Context& context, const ScaleParams& params, const Tensor& x, Tensor& y) {
  checkShape("y", y.shape, x.shape);
  kernels::scale(context.stream(), x.count(), static_cast<float>(params.factor), x.f32(), y.f32());
}

void fill(Context& context, const FillParams& params, Tensor& y) {
  switch (y.dtype) {
    case DType::Float32:
      return kernels::fill(context.stream(), y.count(), static_cast<float>(params.value), y.f32());
    case DType::Int32:
      return kernels::fill(context.stream(), y.count(), static_cast<int32_t>(params.value), y.i32());
    case DType::UInt8:
      return kernels::fill(context.stream(), y.count(), static_cast<uint8_t>(params.value), y.u8());
  }
}

}  // namespace nodecudnn
