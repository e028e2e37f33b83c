#include <cmath>

#include "core/ops.h"
#include "cuda/context.h"

namespace nodecudnn {

void sgdStep(Context& context, const SgdParams& params, const Tensor& g, Tensor& w, Tensor& v) {
  checkShape("g", g.shape, w.shape);
  checkShape("v", v.shape, w.shape);
  kernels::sgdStep(context.stream(), w.count(), static_cast<float>(params.momentum),
                   static_cast<float>(params.weightDecay * params.lr), static_cast<float>(params.lr), g.f32(),
                   w.f32(), v.f32(), context.fault());
}

void adamStep(Context& context, const AdamParams& params, const Tensor& g, Tensor& w, Tensor& m, Tensor& v) {
  CHECK(params.step > 0, "Expected positive integer for step of adamStep but received ", params.step);
  checkShape("g", g.shape, w.shape);
  checkShape("m", m.shape, w.shape);
  checkShape("v", v.shape, w.shape);
  const double step = static_cast<double>(params.step);
  kernels::AdamFactors f;
  f.beta1 = static_cast<float>(params.beta1);
  f.beta2 = static_cast<float>(params.beta2);
  f.gain1 = static_cast<float>(1 - params.beta1);
  f.gain2 = static_cast<float>(1 - params.beta2);
  f.decay = static_cast<float>(params.weightDecay);
  f.rate = static_cast<float>(params.lr / (1 - std::pow(params.beta1, step)));
  f.rootScale = static_cast<float>(1 / std::sqrt(1 - std::pow(params.beta2, step)));
  f.eps = static_cast<float>(params.eps);
  kernels::adamStep(context.stream(), w.count(), f, g.f32(), w.f32(), m.f32(), v.f32(), context.fault());
}

}  // namespace nodecudnn
