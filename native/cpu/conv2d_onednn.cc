#include <algorithm>
#include <cstring>

#include "cpu/conv2d.h"
#include "cpu/gemm.h"
#include "cpu/onednn_plan.h"

namespace nodecudnn {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Operands = std::vector<OneDnnPlan::Operand>;

/// Which of oneDNN's kernels, and the layouts of activations.
enum class Variant { First, Jit, Blocked };

memory::desc describe(const memory::dims& dims, Tag tag) { return {dims, memory::data_type::f32, tag}; }

/// A convolution in oneDNN's terms. Weights are always `any`: in a fixed KRSC layout they get the reference
/// kernel.
struct Description {
  explicit Description(const Conv2dShape& q)
      : x{q.n, q.c, q.h, q.w},
        y{q.n, q.k, q.oh, q.ow},
        w(q.groups == 1 ? memory::dims{q.k, q.c, q.r, q.s}
                        : memory::dims{q.groups, q.groupK(), q.groupC(), q.r, q.s}),
        tensorX(describe(x, Tag::nhwc)),
        tensorY(describe(y, Tag::nhwc)),
        tensorW(describe(w, q.groups == 1 ? Tag::ohwi : Tag::gohwi)),
        tensorBias(q.bias ? describe({q.k}, Tag::a) : memory::desc()),
        anyW(describe(w, Tag::any)),
        strides{q.strideH, q.strideW},
        dilations{q.dilationH - 1, q.dilationW - 1},
        padding{q.padH, q.padW} {
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    dnnl::post_ops relu;
    relu.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
    if (q.relu) attributes.set_post_ops(relu);
  }

  memory::dims x, y, w;
  memory::desc tensorX, tensorY, tensorW, tensorBias, anyW;
  memory::dims strides, dilations, padding;
  dnnl::primitive_attr attributes;
};

constexpr auto kDirect = dnnl::algorithm::convolution_direct;

/// Walks to the direct kernel of this instruction set; oneDNN's first choice if it has none for the shape.
template <class Make>
auto choose(const Context& context, Variant variant, Make make) {
  auto descriptor = make();
  if (variant != Variant::Jit) return descriptor;
  const char* name = context.isa == Isa::Avx512 ? "jit:avx512_core" : "jit:avx2";
  do {
    if (std::strcmp(descriptor.impl_info_str(), name) == 0) return descriptor;
  } while (descriptor.next_impl());
  return make();
}

dnnl::convolution_forward::primitive_desc describeForward(const Context& context, const Description& d,
                                                          const memory::desc& x, const memory::desc& y) {
  return {context.engine,
          dnnl::prop_kind::forward_training,
          kDirect,
          x,
          d.anyW,
          d.tensorBias,
          y,
          d.strides,
          d.dilations,
          d.padding,
          d.padding,
          d.attributes};
}

std::shared_ptr<OneDnnPlan> makeForward(const Context& context, Variant variant, const Conv2dShape& q) {
  const Description d(q);
  const auto descriptor =
      choose(context, variant, [&] { return describeForward(context, d, d.tensorX, d.tensorY); });
  Operands inputs{{DNNL_ARG_SRC, d.tensorX, d.tensorX},
                  {DNNL_ARG_WEIGHTS, d.tensorW, descriptor.weights_desc()}};
  if (q.bias) inputs.push_back({DNNL_ARG_BIAS, d.tensorBias, d.tensorBias});
  return std::make_shared<OneDnnPlan>(context.engine, dnnl::convolution_forward(descriptor),
                                      descriptor.scratchpad_desc(), inputs,
                                      OneDnnPlan::Operand{DNNL_ARG_DST, d.tensorY, d.tensorY});
}

std::shared_ptr<OneDnnPlan> makeData(const Context& context, Variant variant, const Conv2dShape& q) {
  const Description d(q);
  const auto forward = describeForward(context, d, d.tensorX, d.tensorY);
  const auto descriptor = choose(context, variant, [&] {
    return dnnl::convolution_backward_data::primitive_desc(context.engine, kDirect, d.tensorX, d.anyW,
                                                           d.tensorY, d.strides, d.dilations, d.padding,
                                                           d.padding, forward, d.attributes);
  });
  return std::make_shared<OneDnnPlan>(context.engine, dnnl::convolution_backward_data(descriptor),
                                      descriptor.scratchpad_desc(),
                                      Operands{{DNNL_ARG_DIFF_DST, d.tensorY, d.tensorY},
                                               {DNNL_ARG_WEIGHTS, d.tensorW, descriptor.weights_desc()}},
                                      OneDnnPlan::Operand{DNNL_ARG_DIFF_SRC, d.tensorX, d.tensorX});
}

std::shared_ptr<OneDnnPlan> makeFilter(const Context& context, Variant variant, const Conv2dShape& q) {
  const Description d(q);
  const bool blocked = variant == Variant::Blocked;
  const memory::desc x = blocked ? describe(d.x, Tag::any) : d.tensorX;
  const memory::desc y = blocked ? describe(d.y, Tag::any) : d.tensorY;
  const auto forward = describeForward(context, d, x, y);
  const auto descriptor = choose(context, variant, [&] {
    return dnnl::convolution_backward_weights::primitive_desc(context.engine, kDirect, x, d.anyW, y,
                                                              d.strides, d.dilations, d.padding, d.padding,
                                                              forward, d.attributes);
  });
  return std::make_shared<OneDnnPlan>(
      context.engine, dnnl::convolution_backward_weights(descriptor), descriptor.scratchpad_desc(),
      Operands{{DNNL_ARG_SRC, d.tensorX, descriptor.src_desc()},
               {DNNL_ARG_DIFF_DST, d.tensorY, descriptor.diff_dst_desc()}},
      OneDnnPlan::Operand{DNNL_ARG_DIFF_WEIGHTS, d.tensorW, descriptor.diff_weights_desc()});
}

template <Variant kVariant>
void run(Context& context, Conv2dPass pass, const Conv2dShape& q, const float* a, const float* b,
         const float* bias, float* out) {
  const auto make = pass == Conv2dPass::Forward ? makeForward
                    : pass == Conv2dPass::Data  ? makeData
                                                : makeFilter;
  PlanKey key{static_cast<int64_t>(PlanKind::Conv2d), static_cast<int64_t>(pass),
              static_cast<int64_t>(kVariant), context.threads};
  for (int64_t number : q.numbers()) key.push_back(number);
  const auto plan = context.plans.get<OneDnnPlan>(key, [&] { return make(context, kVariant, q); });
  if (bias != nullptr)
    plan->run(context, {a, b, bias}, out);
  else
    plan->run(context, {a, b}, out);
}

enum Slot { kPartial = 1 };  // 0 is the plan's.

/// Some images at a time, so that activations in blocks of channels, which are copies, stay in the
/// third-level cache: of AlexNet's conv1 at batch 128 they were 230 MB.
void runBlocked(Context& context, Conv2dPass pass, const Conv2dShape& q, const float* x, const float* dy,
                const float*, float* dw) {
  constexpr int64_t kElements = (int64_t{32} << 20) / sizeof(float);
  const int64_t xElements = q.h * q.w * q.c, dyElements = q.oh * q.ow * q.k, weights = q.k * q.filter();
  const int64_t images = std::max<int64_t>(context.threads, kElements / (xElements + dyElements));
  float* const partial = q.n > images ? context.workspace<float>(kPartial, weights) : nullptr;
  for (int64_t first = 0; first < q.n; first += images) {
    Conv2dShape part = q;
    part.n = std::min(images, q.n - first);
    float* const sum = first == 0 ? dw : partial;
    run<Variant::Blocked>(context, pass, part, x + first * xElements, dy + first * dyElements, nullptr, sum);
    if (first > 0) addTo(context, weights, partial, dw);
  }
}

bool supportsAll(Conv2dPass, const Conv2dShape&) { return true; }
bool supportsFilter(Conv2dPass pass, const Conv2dShape&) { return pass == Conv2dPass::Filter; }

}  // namespace

const Conv2dImplementation conv2dOneDnn{"onednn", supportsAll, run<Variant::First>};
const Conv2dImplementation conv2dOneDnnJit{"jit", supportsAll, run<Variant::Jit>};
const Conv2dImplementation conv2dBlocked{"blocked", supportsFilter, runBlocked};

}  // namespace nodecudnn
