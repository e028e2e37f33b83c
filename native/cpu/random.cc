#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/arguments.h"
#include "core/philox.h"
#include "cpu/kernel.h"

namespace nodecudnn {
namespace {

/// Words are drawn into a buffer, a few hundred blocks at a time.
constexpr int64_t kWords = 1024;

/// Words of the sequence from element `begin`, which is a multiple of 4.
INLINE void drawWords(const Philox& philox, uint64_t offset, int64_t begin, int64_t count, uint32_t* words) {
  const uint64_t first = offset + static_cast<uint64_t>(begin / 4);
  for (int64_t i = 0; i < (count + 3) / 4; ++i) {
    const std::array<uint32_t, 4> block = philox.block(first + static_cast<uint64_t>(i));
    for (int64_t j = 0; j < 4; ++j) words[4 * i + j] = block[j];
  }
}

/// Elements [begin, end) of x. toUniform(word) >= p is decided as word >> 8 >= threshold, which is the same.
SIMD_CLONES void dropoutRange(Philox philox, uint64_t offset, uint32_t threshold, float factor, int64_t begin,
                              int64_t end, const float* x, float* y) {
  uint32_t words[kWords];
  for (int64_t at = begin; at < end; at += kWords) {
    const int64_t count = std::min(kWords, end - at);
    drawWords(philox, offset, at, count, words);
    for (int64_t i = 0; i < count; ++i) {
      const float scaled = x[at + i] * factor;
      uint32_t bits;
      std::memcpy(&bits, &scaled, sizeof bits);
      bits &= words[i] >> 8 >= threshold ? ~0u : 0u;  // A choice of floats would become a branch.
      std::memcpy(y + at + i, &bits, sizeof bits);
    }
  }
}

/// a + (b - a) · u in double; what float rounds up to b becomes `below`, the float before it.
SIMD_CLONES void uniformRange(Philox philox, uint64_t offset, double a, double b, float below, int64_t begin,
                              int64_t end, float* y) {
  uint32_t words[kWords];
  for (int64_t at = begin; at < end; at += kWords) {
    const int64_t count = std::min(kWords, end - at);
    drawWords(philox, offset, at, count, words);
    for (int64_t i = 0; i < count; ++i)
      y[at + i] = std::min(static_cast<float>(a + (b - a) * toUniform(words[i])), below);
  }
}

/// Elements 4i and 4i + 1 come from words 0 and 1 of block i, 4i + 2 and 4i + 3 from words 2 and 3. With u
/// and v their 24-bit uniforms and r = sqrt(-2 · ln(1 - u)): a + b · r · cos(2π v) and a + b · r · sin(2π v).
/// All in double, rounded to float at the end.
SIMD_CLONES void normalRange(Philox philox, uint64_t offset, double a, double b, int64_t begin, int64_t end,
                             float* y) {
  constexpr double kTwoPi = 6.283185307179586;
  uint32_t words[kWords];
  for (int64_t at = begin; at < end; at += kWords) {
    const int64_t count = std::min(kWords, end - at);
    drawWords(philox, offset, at, count, words);
    for (int64_t i = 0; i < count; i += 2) {
      const double radius = b * std::sqrt(-2 * std::log(1.0 - toUniform(words[i])));
      const double angle = kTwoPi * toUniform(words[i + 1]);
      y[at + i] = static_cast<float>(a + radius * std::cos(angle));
      if (i + 1 < count) y[at + i + 1] = static_cast<float>(a + radius * std::sin(angle));
    }
  }
}

Philox philoxOf(int64_t seed, int64_t stream) {
  return Philox{static_cast<uint64_t>(seed), static_cast<uint64_t>(stream)};
}

}  // namespace

void dropout(Context& context, const DropoutParams& params, const Tensor& x, Tensor& y) {
  checkDropout(params, x, y);
  const Philox philox = philoxOf(params.seed, params.stream);
  const uint32_t threshold = static_cast<uint32_t>(std::ceil(params.p * 0x1p24));
  const float factor = static_cast<float>(params.scale);
  const float* in = x.f32();
  float* out = y.f32();
  const auto range = [&](int64_t offset, int64_t begin, int64_t end, int64_t first) {
    dropoutRange(philox, static_cast<uint64_t>(offset), threshold, factor, begin, end, in + first,
                 out + first);
  };
  if (params.width >= x.count())
    return parallelFor(context.threads, x.count(), kWords,
                       [&](int64_t begin, int64_t end) { range(params.offset, begin, end, 0); });
  parallelFor(context.threads, x.count() / params.width, kWords / params.width + 1,
              [&](int64_t begin, int64_t end) {
                for (int64_t row = begin; row < end; ++row)
                  range(params.offset + row * params.stride / 4, 0, params.width, row * params.width);
              });
}

void randomUniform(Context& context, const RandomParams& params, Tensor& y) {
  CHECK(params.a <= params.b, "Expected a <= b for randomUniform but received a = ", params.a,
        ", b = ", params.b);
  const Philox philox = philoxOf(params.seed, params.stream);
  const float below = std::nextafter(static_cast<float>(params.b), static_cast<float>(params.a));
  float* out = y.f32();
  parallelFor(context.threads, y.count(), kWords, [&](int64_t begin, int64_t end) {
    uniformRange(philox, static_cast<uint64_t>(params.offset), params.a, params.b, below, begin, end, out);
  });
}

void randomNormal(Context& context, const RandomParams& params, Tensor& y) {
  const Philox philox = philoxOf(params.seed, params.stream);
  float* out = y.f32();
  parallelFor(context.threads, y.count(), kWords, [&](int64_t begin, int64_t end) {
    normalRange(philox, static_cast<uint64_t>(params.offset), params.a, params.b, begin, end, out);
  });
}

}  // namespace nodecudnn
