#include "cuda/context.h"

namespace nodecudnn {
namespace {

void run(Context& context, Conv2dPass pass, const Conv2dShape& q, const Tensor& a, const Tensor& b,
         const Tensor* bias, Tensor& out) {
  const Conv2dMath& math = context.math;
  PlanKey key{static_cast<int64_t>(PlanKind::Conv2d), static_cast<int64_t>(pass), math.tf32,
              math.deterministic};
  for (int64_t number : q.numbers()) key.push_back(number);
  const auto plan =
      context.plans.get<Conv2dPlan>(key, [&] { return Conv2dPlanner(context.cudnn()).plan(pass, q, math); });
  void* workspace = plan->workspaceBytes() > 0 ? context.workspace(0, plan->workspaceBytes()) : nullptr;
  plan->run(context.cudnn(), a.f32(), b.f32(), bias != nullptr ? bias->f32() : nullptr, out.f32(), workspace);
}

}  // namespace

void conv2d(Context& context, const Conv2dParams& params, const Tensor& x, const Tensor& w,
            const Tensor* bias, Tensor& y) {
  run(context, Conv2dPass::Forward, shapeOf(params, x, w, bias, y), x, w, bias, y);
}

void conv2dBackwardData(Context& context, const Conv2dParams& params, const Tensor& dy, const Tensor& w,
                        Tensor& dx) {
  run(context, Conv2dPass::Data, shapeOf(params, dx, w, dy), dy, w, nullptr, dx);
}

void conv2dBackwardFilter(Context& context, const Conv2dParams& params, const Tensor& x, const Tensor& dy,
                          Tensor& dw) {
  run(context, Conv2dPass::Filter, shapeOf(params, x, dw, dy), x, dy, nullptr, dw);
}

}  // namespace nodecudnn
