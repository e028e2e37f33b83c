#include <cmath>

#include "cpu/kernel.h"

namespace nodecudnn {
namespace {

constexpr int64_t kGrain = 16384;

/// v = momentum · v - decay · w - rate · g; w += v
SIMD_CLONES void sgdRange(int64_t count, float momentum, float decay, float rate, const float* __restrict g,
                          float* __restrict w, float* __restrict v) {
  for (int64_t i = 0; i < count; ++i) {
    v[i] = momentum * v[i] - decay * w[i] - rate * g[i];
    w[i] += v[i];
  }
}

/// `rate` and `rootScale` contain the bias corrections: w -= rate · m / (rootScale · sqrt(v) + eps)
struct AdamFactors {
  float beta1, beta2, gain1, gain2, decay, rate, rootScale, eps;
};

SIMD_CLONES void adamRange(int64_t count, AdamFactors f, const float* __restrict g, float* __restrict w,
                           float* __restrict m, float* __restrict v) {
  for (int64_t i = 0; i < count; ++i) {
    const float gradient = g[i] + f.decay * w[i];
    m[i] = f.beta1 * m[i] + f.gain1 * gradient;
    v[i] = f.beta2 * v[i] + f.gain2 * gradient * gradient;
    w[i] -= f.rate * m[i] / (f.rootScale * std::sqrt(v[i]) + f.eps);
  }
}

}  // namespace

void sgdStep(Context& context, const SgdParams& params, const Tensor& g, Tensor& w, Tensor& v) {
  checkShape("g", g.shape, w.shape);
  checkShape("v", v.shape, w.shape);
  const float momentum = static_cast<float>(params.momentum), rate = static_cast<float>(params.lr);
  const float decay = static_cast<float>(params.weightDecay * params.lr);
  const float* gradient = g.f32();
  float *weight = w.f32(), *velocity = v.f32();
  parallelFor(context.threads, w.count(), kGrain, [&](int64_t begin, int64_t end) {
    sgdRange(end - begin, momentum, decay, rate, gradient + begin, weight + begin, velocity + begin);
  });
}

void adamStep(Context& context, const AdamParams& params, const Tensor& g, Tensor& w, Tensor& m, Tensor& v) {
  CHECK(params.step > 0, "Expected positive integer for step of adamStep but received ", params.step);
  checkShape("g", g.shape, w.shape);
  checkShape("m", m.shape, w.shape);
  checkShape("v", v.shape, w.shape);
  const double step = static_cast<double>(params.step);
  AdamFactors f;
  f.beta1 = static_cast<float>(params.beta1);
  f.beta2 = static_cast<float>(params.beta2);
  f.gain1 = static_cast<float>(1 - params.beta1);
  f.gain2 = static_cast<float>(1 - params.beta2);
  f.decay = static_cast<float>(params.weightDecay);
  f.rate = static_cast<float>(params.lr / (1 - std::pow(params.beta1, step)));
  f.rootScale = static_cast<float>(1 / std::sqrt(1 - std::pow(params.beta2, step)));
  f.eps = static_cast<float>(params.eps);
  const float* gradient = g.f32();
  float *weight = w.f32(), *first = m.f32(), *second = v.f32();
  parallelFor(context.threads, w.count(), kGrain, [&](int64_t begin, int64_t end) {
    adamRange(end - begin, f, gradient + begin, weight + begin, first + begin, second + begin);
  });
}

}  // namespace nodecudnn
