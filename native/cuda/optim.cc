#include "core/arguments.h"
#include "cuda/context.h"

namespace nodecudnn {

void sgdStep(Context& context, const SgdParams& params, const Tensor& g, Tensor& w, Tensor& v) {
  checkSgdStep(g, w, v);
  kernels::sgdStep(context.stream(), w.count(), static_cast<float>(params.momentum),
                   static_cast<float>(params.weightDecay * params.lr), static_cast<float>(params.lr), g.f32(),
                   w.f32(), v.f32(), context.fault());
}

void adamStep(Context& context, const AdamParams& params, const Tensor& g, Tensor& w, Tensor& m, Tensor& v) {
  const AdamFactors f = factorsOfAdam(params, g, w, m, v);
  kernels::adamStep(context.stream(), w.count(), f, g.f32(), w.f32(), m.f32(), v.f32(), context.fault());
}

}  // namespace nodecudnn
