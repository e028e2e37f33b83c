#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <vector>

#include "cpu/kernel.h"

namespace nodecudnn {
namespace {

/// s^(-3/4) to 2e-7 for normal positive s, without a division or a square root. The exponent's bits give a
/// first guess y with q = s³y⁴ in [0.73, 1.003], and a polynomial of q - 1 (minimax for q^(-1/4), to 4e-8)
/// the factor that it lacks. q is formed from s·y = s^(1/4), which cannot overflow. Of an s that is infinite,
/// where squares are larger than a float can be, it is 0.
struct Power34 {
  float operator()(float s) const {
    int32_t bits;
    std::memcpy(&bits, &s, sizeof bits);
    const int32_t ifFinite = (bits == 0x7F800000) - 1;
    bits = 0x6F0D00B8 - (bits - (bits >> 2));
    float y;
    std::memcpy(&y, &bits, sizeof y);
    const float t = s * y, d = (t * t) * (t * y) - 1;
    const float power =
        y * (1 + d * (d * (d * (d * (d * -0.17719075f + 0.061684016f) - 0.122128285f) + 0.15593696f) -
                      0.2500067f));
    // A mask, as with AVX2 a loop with a choice in it is not vectorised.
    std::memcpy(&bits, &power, sizeof bits);
    bits &= ifFinite;
    std::memcpy(&y, &bits, sizeof y);
    return y;
  }
  /// power / s
  float quotient(float power, float s) const {
    const float root = std::min(s, FLT_MAX) * power * power;  // s^(-1/2); ∞ · 0 is no number.
    return power * (root * root);
  }
};

struct AnyPower {
  float beta;
  float operator()(float s) const { return std::pow(s, -beta); }
  float quotient(float power, float s) const { return power / s; }
};

/// A row is the `channels` neighbouring channels that normalise together; a block is the rows worked on at a
/// time. Each step runs over the whole block, so that what one stores has left the store buffer before the
/// next loads it at another alignment.
struct Geometry {
  int64_t channels, before, after, blockRows;
  float k, scale, beta;  // y = x · (k + scale · Σ x²)^-beta, the sum from c - before to c + after

  Geometry(const LrnParams& params, const Shape& shape)
      : channels(shape[shape.rank() - 1] / params.groups),
        before(std::min(params.size / 2, channels - 1)),
        after(std::min((params.size - 1) / 2, channels - 1)),
        blockRows(std::max<int64_t>(1, 384 / channels)),
        k(static_cast<float>(params.k)),
        scale(static_cast<float>(params.alpha / static_cast<double>(params.size))),
        beta(static_cast<float>(params.beta)) {}

  bool threeQuarters() const { return beta == 0.75f && k > 1e-30f && scale >= 0; }
  int64_t stride() const { return before + channels + after; }
  int64_t width() const { return before + after + 1; }
};

/// One thread's memory, given as zeros, for a block: two of rows with zeros around them, two of rows without.
struct Buffers {
  float *squares, *ratios, *sums, *gradients;

  static int64_t count(const Geometry& g) { return 2 * g.blockRows * (g.stride() + g.channels); }
  Buffers(const Geometry& g, float* memory)
      : squares(memory),
        ratios(squares + g.blockRows * g.stride()),
        sums(ratios + g.blockRows * g.stride()),
        gradients(sums + g.blockRows * g.channels) {}
};

/// Σ padded[r, c … c + width - 1] for each channel c of a row r. Where the width is 5, as nearly everywhere,
/// a sum is formed where it is asked for; others are formed beforehand.
template <bool kIsFive>
class WindowSums {
 public:
  INLINE WindowSums(const Geometry& g, int64_t rows, const float* padded, float* __restrict sums)
      : padded_(padded), sums_(sums), stride_(g.stride()), channels_(g.channels) {
    if constexpr (!kIsFive)
      for (int64_t r = 0; r < rows; ++r, padded += g.stride(), sums += g.channels) {
        std::copy(padded, padded + g.channels, sums);
        for (int64_t i = 1; i < g.width(); ++i)
          for (int64_t c = 0; c < g.channels; ++c) sums[c] += padded[c + i];
      }
  }
  INLINE float operator()(int64_t r, int64_t c) const {
    if constexpr (!kIsFive) return sums_[r * channels_ + c];
    const float* const p = padded_ + r * stride_ + c;
    return ((p[0] + p[1]) + (p[3] + p[4])) + p[2];
  }

 private:
  const float* const padded_;
  const float* const sums_;
  const int64_t stride_, channels_;
};

INLINE void square(const Geometry& g, int64_t rows, const float* __restrict x, float* __restrict squares) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < g.channels; ++c) {
      const float value = x[r * g.channels + c];
      squares[r * g.stride() + g.before + c] = value * value;
    }
}

template <bool kIsFive, class Power>
INLINE void forwardBlock(const Geometry& g, Power power, int64_t rows, const float* __restrict x,
                         float* __restrict y, const Buffers& buffers) {
  square(g, rows, x, buffers.squares);
  const WindowSums<kIsFive> sums(g, rows, buffers.squares, buffers.sums);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < g.channels; ++c)
      y[r * g.channels + c] = x[r * g.channels + c] * power(g.k + g.scale * sums(r, c));
}

/// With s = k + scale · Σ x²: dx_i = dy_i · s_i^-beta - 2 · beta · scale · x_i · Σ_j dy_j · x_j · s_j^(-beta
/// - 1) over the j whose windows contain i, which reach from i - after to i + before.
template <bool kIsFive, class Power>
INLINE void backwardBlock(const Geometry& g, Power power, int64_t rows, const float* __restrict x,
                          const float* __restrict dy, float* __restrict dx, const Buffers& buffers) {
  float* __restrict gradients = buffers.gradients;
  square(g, rows, x, buffers.squares);
  const WindowSums<kIsFive> squares(g, rows, buffers.squares, buffers.sums);
  for (int64_t r = 0; r < rows; ++r) {
    float* __restrict ratios = buffers.ratios + r * g.stride() + g.after;
    // Not waiting for the lines that dx will overwrite is worth a quarter of the time.
    for (int64_t c = 0; c < g.channels; c += 16) __builtin_prefetch(dx + r * g.channels + c, 1);
    for (int64_t c = 0; c < g.channels; ++c) {
      const int64_t i = r * g.channels + c;
      const float s = g.k + g.scale * squares(r, c);
      const float p = power(s);
      gradients[i] = dy[i] * p;
      ratios[c] = dy[i] * x[i] * power.quotient(p, s);
    }
  }
  const WindowSums<kIsFive> ratios(g, rows, buffers.ratios, buffers.sums);
  const float factor = 2 * g.beta * g.scale;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < g.channels; ++c) {
      const int64_t i = r * g.channels + c;
      dx[i] = gradients[i] - factor * x[i] * ratios(r, c);
    }
}

/// Calls body(whether the width is 5, power).
template <class Body>
INLINE void specialise(const Geometry& g, Body body) {
  const auto withPower = [&](auto power) INLINE_LAMBDA {
    if (g.width() == 5)
      body(std::true_type{}, power);
    else
      body(std::false_type{}, power);
  };
  if (g.threeQuarters())
    withPower(Power34{});
  else
    withPower(AnyPower{g.beta});
}

INLINE void lrnRows(const Geometry& g, int64_t begin, int64_t end, const float* x, float* y,
                    const Buffers& buffers) {
  for (int64_t row = begin; row < end; row += g.blockRows) {
    const int64_t rows = std::min(g.blockRows, end - row), at = row * g.channels;
    specialise(g, [&](auto isFive, auto power)
                      INLINE_LAMBDA { forwardBlock<isFive.value>(g, power, rows, x + at, y + at, buffers); });
  }
}

INLINE void lrnBackwardRows(const Geometry& g, int64_t begin, int64_t end, const float* x, const float* dy,
                            float* dx, const Buffers& buffers) {
  for (int64_t row = begin; row < end; row += g.blockRows) {
    const int64_t rows = std::min(g.blockRows, end - row), at = row * g.channels;
    specialise(g, [&](auto isFive, auto power) INLINE_LAMBDA {
      backwardBlock<isFive.value>(g, power, rows, x + at, dy + at, dx + at, buffers);
    });
  }
}

void check(const LrnParams& params, const Tensor& x, const Tensor& y) {
  const int64_t channels = x.shape.rank() > 0 ? x.shape[x.shape.rank() - 1] : 0;
  CHECK(channels > 0 && params.groups > 0 && channels % params.groups == 0,
        "Expected channels divisible by groups = ", params.groups, " for lrn but received shape ", x.shape);
  CHECK(params.size > 0, "Expected positive size for lrn but received ", params.size);
  checkShape("y", y.shape, x.shape);
}

}  // namespace

std::vector<SavedSpec> lrnSave(const LrnParams&, const Shape&, const Shape&) { return {SavedSpec::x()}; }

void lrn(Context& context, const LrnParams& params, const Tensor& x, Tensor& y, Saved*) {
  check(params, x, y);
  const Geometry g(params, x.shape);
  const float* in = x.f32();
  float* out = y.f32();
  parallelFor(context.threads, x.count() / g.channels, 16 * g.blockRows, [&](int64_t begin, int64_t end) {
    std::vector<float> memory(Buffers::count(g));
    const Buffers buffers(g, memory.data());
    forIsa(context.isa, [&](auto) INLINE_LAMBDA { lrnRows(g, begin, end, in, out, buffers); });
  });
}

void lrnBackward(Context& context, const LrnParams& params, const Saved& saved, const Tensor& dy,
                 Tensor& dx) {
  CHECK(saved.size() == 1, "Expected x saved for lrnBackward but received ", saved.size(), " tensors");
  const Tensor& x = saved[0];
  check(params, x, dy);
  checkShape("dx", dx.shape, x.shape);
  const Geometry g(params, x.shape);
  const float *in = x.f32(), *gradient = dy.f32();
  float* out = dx.f32();
  parallelFor(context.threads, x.count() / g.channels, 16 * g.blockRows, [&](int64_t begin, int64_t end) {
    std::vector<float> memory(Buffers::count(g));
    const Buffers buffers(g, memory.data());
    forIsa(context.isa,
           [&](auto) INLINE_LAMBDA { lrnBackwardRows(g, begin, end, in, gradient, out, buffers); });
  });
}

}  // namespace nodecudnn
