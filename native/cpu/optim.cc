#include <atomic>
#include <cmath>
#include <cstring>

#include "core/arguments.h"
#include "cpu/kernel.h"

namespace nodecudnn {
namespace {

constexpr int64_t kGrain = 16384;

/// Nonzero for an infinity or NaN.
inline int32_t notFinite(float value) {
  int32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return (bits & 0x7f800000) == 0x7f800000;
}

/// Updates all ranges of `w` by `update(begin, end)`, which tells whether a weight is not finite any more.
template <class Update>
void updateWeights(Context& context, const Tensor& w, const Update& update) {
  std::atomic<bool> bad{false};
  parallelFor(context.threads, w.count(), kGrain, [&](int64_t begin, int64_t end) {
    if (update(begin, end)) bad.store(true, std::memory_order_relaxed);
  });
  if (bad)
    throw Error(ErrorCode::NotFinite, concat("Expected finite weights for the tensor of shape ", w.shape,
                                             " but received NaN or infinity"));
}

/// v = momentum · v - decay · w - rate · g; w += v
SIMD_CLONES bool sgdRange(int64_t count, float momentum, float decay, float rate, const float* __restrict g,
                          float* __restrict w, float* __restrict v) {
  int32_t bad = 0;
  for (int64_t i = 0; i < count; ++i) {
    v[i] = momentum * v[i] - decay * w[i] - rate * g[i];
    w[i] += v[i];
    bad |= notFinite(w[i]);
  }
  return bad != 0;
}

SIMD_CLONES bool adamRange(int64_t count, AdamFactors f, const float* __restrict g, float* __restrict w,
                           float* __restrict m, float* __restrict v) {
  int32_t bad = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float gradient = g[i] + f.decay * w[i];
    m[i] = f.beta1 * m[i] + f.gain1 * gradient;
    v[i] = f.beta2 * v[i] + f.gain2 * gradient * gradient;
    w[i] -= f.rate * m[i] / (f.rootScale * std::sqrt(v[i]) + f.eps);
    bad |= notFinite(w[i]);
  }
  return bad != 0;
}

}  // namespace

void sgdStep(Context& context, const SgdParams& params, const Tensor& g, Tensor& w, Tensor& v) {
  checkSgdStep(g, w, v);
  const float momentum = static_cast<float>(params.momentum), rate = static_cast<float>(params.lr);
  const float decay = static_cast<float>(params.weightDecay * params.lr);
  const float* gradient = g.f32();
  float *weight = w.f32(), *velocity = v.f32();
  updateWeights(context, w, [&](int64_t begin, int64_t end) {
    return sgdRange(end - begin, momentum, decay, rate, gradient + begin, weight + begin, velocity + begin);
  });
}

void adamStep(Context& context, const AdamParams& params, const Tensor& g, Tensor& w, Tensor& m, Tensor& v) {
  const AdamFactors f = factorsOfAdam(params, g, w, m, v);
  const float* gradient = g.f32();
  float *weight = w.f32(), *first = m.f32(), *second = v.f32();
  updateWeights(context, w, [&](int64_t begin, int64_t end) {
    return adamRange(end - begin, f, gradient + begin, weight + begin, first + begin, second + begin);
  });
}

}  // namespace nodecudnn
