#include "cpu/conv2d.h"

#include <chrono>
#include <limits>

#include "cpu/conv2d_table.h"

namespace nodecudnn {
namespace {

struct Operands {
  const float *a, *b, *bias;
  float* out;
};

void run(Context& context, const Conv2dImplementation& implementation, Conv2dPass pass,
         const Conv2dShape& shape, const Operands& operands) {
  implementation.run(context, pass, shape, operands.a, operands.b, operands.bias, operands.out);
}

constexpr int kTimedRuns = 3;

/// The shortest of some runs after a first one. Ends early where even that is far behind `shortest`.
double runNs(Context& context, const Conv2dImplementation& implementation, Conv2dPass pass,
             const Conv2dShape& shape, const Operands& operands, double shortest) {
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i <= kTimedRuns; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run(context, implementation, pass, shape, operands);
    const double ns =
        std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
    if (i > 0) least = std::min(least, ns);
    if (ns > 10 * shortest) return ns;
  }
  return least;
}

/// What a choice is kept by. Checkpoints hold it: it may only be added to.
std::string describe(const Context& context, Conv2dPass pass, const Conv2dShape& shape) {
  std::string text = concat("conv2d ", nameOf(pass), " threads ", context.threads);
  for (int64_t number : shape.numbers()) text += concat(' ', number);
  return text;
}

/// The one that was chosen before, or the fastest.
const Conv2dImplementation* tuned(Context& context, Conv2dPass pass, const Conv2dShape& shape,
                                  const Operands& operands) {
  const std::string what = describe(context, pass, shape);
  const auto candidates = conv2dImplementations(pass, shape);
  if (const auto chosen = context.choices.find(what))
    for (const Conv2dImplementation* candidate : candidates)
      if (*chosen == candidate->name) return candidate;
  const Conv2dImplementation* fastest = nullptr;
  double shortest = std::numeric_limits<double>::infinity();
  for (const Conv2dImplementation* candidate : candidates) {
    const double ns = runNs(context, *candidate, pass, shape, operands, shortest);
    if (ns < shortest) {
      fastest = candidate;
      shortest = ns;
    }
  }
  context.choices.set(what, fastest->name);
  return fastest;
}

const Conv2dImplementation& choose(Context& context, Conv2dPass pass, const Conv2dShape& shape,
                                   const Operands& operands) {
  if (!context.autotune || !context.forcedConv2d.empty())
    return chooseConv2d(context.isa, pass, shape, context.forcedConv2d);
  PlanKey key{static_cast<int64_t>(PlanKind::TunedConv2d), static_cast<int64_t>(pass), context.threads};
  for (int64_t number : shape.numbers()) key.push_back(number);
  using Chosen = const Conv2dImplementation*;
  return **context.plans.get<Chosen>(
      key, [&] { return std::make_shared<Chosen>(tuned(context, pass, shape, operands)); });
}

void run(Context& context, Conv2dPass pass, const Conv2dShape& shape, const Tensor& a, const Tensor& b,
         const Tensor* bias, Tensor& out) {
  const Operands operands{a.f32(), b.f32(), bias != nullptr ? bias->f32() : nullptr, out.f32()};
  const Conv2dImplementation& implementation = choose(context, pass, shape, operands);
  context.implementation = implementation.name;
  run(context, implementation, pass, shape, operands);
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
