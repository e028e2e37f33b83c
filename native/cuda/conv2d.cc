#include <algorithm>
#include <exception>
#include <limits>
#include <tuple>

#include "cuda/context.h"

namespace nodecudnn {
namespace {

/// So many plans autotune tries, as PyTorch's benchmark mode does.
constexpr size_t kTriedPlans = 10;
constexpr int kTimedRuns = 3;

void run(Context& context, const Conv2dPlan& plan, const Conv2dOperands& operands) {
  void* workspace = plan.workspaceBytes() > 0 ? context.workspace(plan.workspaceBytes()) : nullptr;
  plan.run(context.cudnn(), operands, workspace);
}

/// The shortest of some runs after a first one.
float runMs(Context& context, const Conv2dPlan& plan, const Conv2dOperands& operands) {
  const OwnedEvent start = makeTimingEvent(), end = makeTimingEvent();
  float shortest = std::numeric_limits<float>::infinity();
  for (int i = 0; i <= kTimedRuns; ++i) {
    CUDA_CHECK(cudaEventRecord(start.get(), context.stream()));
    run(context, plan, operands);
    CUDA_CHECK(cudaEventRecord(end.get(), context.stream()));
    CUDA_CHECK(cudaEventSynchronize(end.get()));
    float ms = 0;
    CUDA_CHECK(cudaEventElapsedTime(&ms, start.get(), end.get()));
    if (i > 0) shortest = std::min(shortest, ms);
  }
  return shortest;
}

/// What a choice is kept by. Checkpoints hold it: it may only be added to.
std::string describe(Conv2dPass pass, const Conv2dShape& q, const Conv2dMath& math) {
  std::string text =
      concat("conv2d ", nameOf(pass), math.tf32 ? " tf32" : "", math.deterministic ? " deterministic" : "");
  for (int64_t number : q.numbers()) text += concat(' ', number);
  return text;
}

/// The one that was chosen before, or the fastest of those that run.
std::shared_ptr<Conv2dPlan> tuned(Context& context, Conv2dPass pass, const Conv2dShape& q,
                                  const Conv2dOperands& operands) {
  const Conv2dPlanner planner(context.cudnn());
  const std::string what = describe(pass, q, context.math);
  if (const auto chosen = context.choices.find(what))
    if (auto plan = planner.named(*chosen, pass, q, context.math)) return plan;
  std::string fastest;
  float shortest = std::numeric_limits<float>::infinity();
  std::exception_ptr failure;
  for (const auto& plan : planner.plans(pass, q, context.math, kTriedPlans)) try {
      const float ms = runMs(context, *plan, operands);
      if (ms < shortest) std::tie(fastest, shortest) = std::make_tuple(plan->name(), ms);
    } catch (const Error&) {
      failure = std::current_exception();  // Another may do with less memory, say.
    }
  if (fastest.empty()) std::rethrow_exception(failure);
  context.dropWorkspace();  // Another may have needed more.
  context.choices.set(what, fastest);
  return planner.named(fastest, pass, q, context.math);  // Without the others.
}

void run(Context& context, Conv2dPass pass, const Conv2dShape& q, const Conv2dOperands& operands) {
  const Conv2dMath& math = context.math;
  PlanKey key{static_cast<int64_t>(PlanKind::Conv2d), static_cast<int64_t>(pass), math.tf32,
              math.deterministic, math.autotune};
  for (int64_t number : q.numbers()) key.push_back(number);
  const auto plan = context.plans.get<Conv2dPlan>(key, [&] {
    if (math.autotune) return tuned(context, pass, q, operands);
    return Conv2dPlanner(context.cudnn()).plans(pass, q, math, 1).front();
  });
  run(context, *plan, operands);
  context.lastPlan = plan;
}

}  // namespace

void conv2d(Context& context, const Conv2dParams& params, const Tensor& x, const Tensor& w,
            const Tensor* bias, Tensor& y) {
  run(context, Conv2dPass::Forward, shapeOf(params, x, w, bias, y),
      {x.f32(), w.f32(), bias != nullptr ? bias->f32() : nullptr, y.f32()});
}

void conv2dBackwardData(Context& context, const Conv2dParams& params, const Tensor& dy, const Tensor& w,
                        Tensor& dx) {
  run(context, Conv2dPass::Data, shapeOf(params, dx, w, dy), {dy.f32(), w.f32(), nullptr, dx.f32()});
}

void conv2dBackwardFilter(Context& context, const Conv2dParams& params, const Tensor& x, const Tensor& dy,
                          Tensor& dw) {
  run(context, Conv2dPass::Filter, shapeOf(params, x, dw, dy), {x.f32(), dy.f32(), nullptr, dw.f32()});
}

}  // namespace nodecudnn
