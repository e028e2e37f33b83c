#include <cmath>

#include "core/arguments.h"
#include "cuda/context.h"

namespace nodecudnn {
namespace {

template <class Params>
kernels::Sequence sequenceOf(const Params& params) {
  return {static_cast<uint64_t>(params.seed), static_cast<uint64_t>(params.stream),
          static_cast<uint64_t>(params.offset)};
}

}  // namespace

/// toUniform(word) >= p is decided as word >> 8 >= threshold, which is the same.
void dropout(Context& context, const DropoutParams& params, const Tensor& x, Tensor& y) {
  checkDropout(params, x, y);
  const auto threshold = static_cast<uint32_t>(std::ceil(params.p * 0x1p24));
  const bool whole = params.width >= x.count();
  kernels::dropout(context.stream(), x.count(), whole ? x.count() : params.width, params.stride,
                   sequenceOf(params), threshold, static_cast<float>(params.scale), x.f32(), y.f32());
}

void randomUniform(Context& context, const RandomParams& params, Tensor& y) {
  CHECK(params.a <= params.b, "Expected a <= b for randomUniform but received a = ", params.a,
        ", b = ", params.b);
  const float below = std::nextafter(static_cast<float>(params.b), static_cast<float>(params.a));
  kernels::randomUniform(context.stream(), y.count(), sequenceOf(params), params.a, params.b, below, y.f32());
}

void randomNormal(Context& context, const RandomParams& params, Tensor& y) {
  kernels::randomNormal(context.stream(), y.count(), sequenceOf(params), params.a, params.b, y.f32());
}

}  // namespace nodecudnn
