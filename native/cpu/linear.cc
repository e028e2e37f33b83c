#include "core/arguments.h"
#include "cpu/context.h"
#include "cpu/gemm.h"
#include "cpu/kernel.h"
#include "cpu/onednn_plan.h"
#include "cpu/parallel.h"

namespace nodecudnn {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

memory::desc describe(const memory::dims& dims, Tag tag) { return {dims, memory::data_type::f32, tag}; }

/// y[m,n] = relu?(x[m,k] · wᵀ + bias) by a oneDNN matmul, which reads w[n,k] in place.
std::shared_ptr<OneDnnPlan> makePlan(const Context& context, int64_t m, int64_t n, int64_t k, bool bias,
                                     bool relu) {
  const memory::desc x = describe({m, k}, Tag::ab), w = describe({k, n}, Tag::ba),
                     y = describe({m, n}, Tag::ab);
  const memory::desc b = bias ? describe({1, n}, Tag::ab) : memory::desc();
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops operations;
  operations.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
  if (relu) attributes.set_post_ops(operations);
  const dnnl::matmul::primitive_desc descriptor(context.engine, x, w, b, y, attributes);
  std::vector<OneDnnPlan::Operand> inputs{{DNNL_ARG_SRC, x, x}, {DNNL_ARG_WEIGHTS, w, w}};
  if (bias) inputs.push_back({DNNL_ARG_BIAS, b, b});
  return std::make_shared<OneDnnPlan>(context.engine, dnnl::matmul(descriptor), descriptor.scratchpad_desc(),
                                      inputs, OneDnnPlan::Operand{DNNL_ARG_DST, y, y});
}

/// Of so few rows a product takes as long as reading, or writing, the weights.
constexpr int64_t kFewRows = 3;
constexpr int64_t kLeastColumns = 256;  // Enough of them for each thread.
constexpr size_t kBeyondCaches = 16 << 20;

/// y[m,n] = relu?(x[m,k] · w[n,k]ᵀ + bias). With AVX-512 oneDNN's sgemm reaches half of its matmul here.
void multiplyTransposed(Context& context, int64_t m, int64_t n, int64_t k, const float* x, const float* w,
                        const float* bias, bool relu, float* y) {
  if (context.isa == Isa::Avx512 && m > kFewRows) {
    context.implementation = "matmul";
    const PlanKey key{
        static_cast<int64_t>(PlanKind::Linear), context.threads, m, n, k, bias != nullptr, relu};
    const auto plan =
        context.plans.get<OneDnnPlan>(key, [&] { return makePlan(context, m, n, k, bias != nullptr, relu); });
    if (bias != nullptr)
      plan->run(context, {x, w, bias}, y);
    else
      plan->run(context, {x, w}, y);
    return;
  }
  if (context.isa != Isa::Baseline && m <= kFewRows) {
    context.implementation = "read once";
    readOnce(context, m, n, k, x, w, y);
  } else {
    context.implementation = "sgemm";
    gemm(false, true, m, n, k, x, k, w, k, 0, y, n);
  }
  parallelFor(context.threads, m, 8,
              [&](int64_t begin, int64_t end) { addBiasRelu(end - begin, n, n, bias, relu, y + begin * n); });
}

/// c[m,n] = a[m,k] · b[k,n]
void multiply(Context& context, int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  if (context.isa != Isa::Baseline && m <= kFewRows && n >= kLeastColumns) {
    context.implementation = "read once";
    return readOnceBack(context, m, k, n, a, b, c);
  }
  if (context.isa == Isa::Avx2 && m >= 24 && m < 512) {
    context.implementation = "few rows";
    return gemmFewRows(context, m, n, k, a, b, c);
  }
  context.implementation = "sgemm";
  gemm(false, false, m, n, k, a, k, b, n, 0, c, n);
}

}  // namespace

void linear(Context& context, const LinearParams& params, const Tensor& x, const Tensor& w,
            const Tensor* bias, Tensor& y) {
  const auto [m, n, k] = productOfLinear(x, w, bias, y);
  multiplyTransposed(context, m, n, k, x.f32(), w.f32(), bias != nullptr ? bias->f32() : nullptr, params.relu,
                     y.f32());
}

void linearBackwardData(Context& context, const Tensor& dy, const Tensor& w, Tensor& dx) {
  const auto [m, n, k] = productOfLinearData(dy, w, dx);
  multiply(context, m, n, k, dy.f32(), w.f32(), dx.f32());
}

void linearBackwardWeight(Context& context, const Tensor& x, const Tensor& dy, Tensor& dw) {
  // Of m = outputs, n = inputs and k = batch.
  const auto [m, n, k] = productOfLinearWeight(x, dy, dw);
  if (context.isa != Isa::Baseline && k <= kFewRows && dw.bytes() >= kBeyondCaches) {
    context.implementation = "write once";
    return writeOnce(context, k, m, n, dy.f32(), x.f32(), dw.f32());
  }
  context.implementation = "sgemm";
  gemm(true, false, m, n, k, dy.f32(), m, x.f32(), n, 0, dw.f32(), n);
}

void matmul(Context& context, const MatmulParams& params, const Tensor& a, const Tensor& b, Tensor& y) {
  const auto [m, n, k] = productOfMatmul(params, a, b, y);
  if (params.transposeA)
    gemm(true, params.transposeB, m, n, k, a.f32(), m, b.f32(), b.shape[1], 0, y.f32(), n);
  else if (params.transposeB)
    multiplyTransposed(context, m, n, k, a.f32(), b.f32(), nullptr, false, y.f32());
  else
    multiply(context, m, n, k, a.f32(), b.f32(), y.f32());
}

}  // namespace nodecudnn
