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
  void* workspace = plan.workspaceBytes() > 0 ? context.workspace(0, plan.workspaceBytes()) : nullptr;
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

/// What a choice is kept by: the numbers of the key.
std::string textOf(const PlanKey& key) {
  std::string text = "conv2d";
  for (int64_t number : key) text += concat(' ', number);
  return text;
}

/// The one that was chosen before, or the fastest of those that run.
std::shared_ptr<Conv2dPlan> tuned(Context& context, const PlanKey& key, Conv2dPass pass, const Conv2dShape& q,
                                  const Conv2dOperands& operands) {
  const Conv2dPlanner planner(context.cudnn());
  const std::string what = textOf(key);
  if (const auto chosen = context.choices.find(what))
    if (auto plan = planner.named(*chosen, pass, q, context.math)) return plan;
  const auto plans = planner.plans(pass, q, context.math, kTriedPlans);
  std::shared_ptr<Conv2dPlan> fastest;
  float shortest = std::numeric_limits<float>::infinity();
  std::exception_ptr failure;
  for (const auto& plan : plans) try {
      const float ms = runMs(context, *plan, operands);
      if (ms < shortest) std::tie(fastest, shortest) = std::tie(plan, ms);
    } catch (const Error&) {
      failure = std::current_exception();  // Another may do with less memory, say.
    }
  if (!fastest) std::rethrow_exception(failure);
  context.choices.set(what, fastest->name());
  return fastest;
}

void run(Context& context, Conv2dPass pass, const Conv2dShape& q, const Conv2dOperands& operands) {
  const Conv2dMath& math = context.math;
  PlanKey key{static_cast<int64_t>(PlanKind::Conv2d), static_cast<int64_t>(pass), math.tf32,
              math.deterministic, math.autotune};
  for (int64_t number : q.numbers()) key.push_back(number);
  const auto plan = context.plans.get<Conv2dPlan>(key, [&] {
    if (math.autotune) return tuned(context, key, pass, q, operands);
    return Conv2dPlanner(context.cudnn()).plans(pass, q, math, 1).front();
  });
  run(context, *plan, operands);
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
