#include <iterator>
#include <utility>

#include "cpu/conv2d.h"
#include "cpu/gemm.h"
#include "cpu/kernel.h"

/// Winograd's (Toom and Cook's) convolution, for stride 1.
///
/// In one dimension y_i = Σ_j d_(i+j) · g_j, m outputs y from t = m + r - 1 inputs d, is the transpose of a
/// multiplication of polynomials of degrees m - 1 and r - 1. Their product has t coefficients, so that its
/// values at t points determine it: m·r multiplications become t. With the points 0, ±p, …, and ∞ (the leading
/// coefficient),
///
///     y = Aᵀ [(G g) ⊙ (Bᵀ d)],  A[point][i] = point^i,  G[point][j] = point^j / N(point),
///     Bᵀ[point] = the coefficients of Π (x - other) over the other finite points, N(point) = its value there.
///
/// In two dimensions each matrix is applied to rows and to columns: Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A, for each
/// tile of m × m output pixels. Summed over the input channels, ⊙ is a matrix product for each of the t²
/// positions in a tile:
///
///     M[tile, k] = V[tile, c] · U[c, k],  V = Bᵀ d B,  U = G g Gᵀ,  Y = Aᵀ M A.
///
/// The gradient of the data is such a convolution of dy with the filters turned by half a turn. The filters'
/// gradient goes back through the same equations: dM = A dY Aᵀ, dU[k, c] = Σ dM[tile, k] · V[tile, c] over the
/// tiles of all images, dg = Gᵀ dU G.
namespace nodecudnn {
namespace {

enum Slot { kTiles = 1, kFilters };

typedef float Eight __attribute__((vector_size(32)));
typedef float EightAt __attribute__((vector_size(32), aligned(4), may_alias));

INLINE void load(const float* from, Eight& value) { value = *reinterpret_cast<const EightAt*>(from); }
INLINE void load(const float* from, float& value) { value = *from; }
INLINE void store(const Eight& value, float* to) { *reinterpret_cast<EightAt*>(to) = value; }
INLINE void store(const float& value, float* to) { *to = value; }
/// Elements that are `step` apart.
INLINE void gather(const float* from, int64_t step, Eight& value) {
  value = Eight{from[0],        from[step],     from[2 * step], from[3 * step],
                from[4 * step], from[5 * step], from[6 * step], from[7 * step]};
}
INLINE void gather(const float* from, int64_t, float& value) { value = *from; }

template <class T>
struct Type {
  using Value = T;
};

/// Calls visit(i, Type<Value>) for the channels from i on that one Value holds: eight, or one of the last.
template <class Visit>
INLINE void forChannels(int64_t channels, Visit visit) {
  int64_t i = 0;
  for (; i + 8 <= channels; i += 8) visit(i, Type<Eight>{});
  for (; i < channels; ++i) visit(i, Type<float>{});
}

/// A row for each point: 0, p, -p, …, ∞. Since those of p and -p differ in the sign of their odd columns, half
/// of the arithmetic serves both.
template <int kPoints, int kColumns>
struct Matrix {
  float at[kPoints][kColumns];
};

/// body(0), body(1), …, each of a type of its own, so that the compiler knows the number.
template <int kCount, class Body, int... kIndices>
INLINE void unroll(Body body, std::integer_sequence<int, kIndices...>) {
  (body(std::integral_constant<int, kIndices>{}), ...);
}
template <int kCount, class Body>
INLINE void unroll(Body body) {
  unroll<kCount>(body, std::make_integer_sequence<int, kCount>{});
}

/// Whether a row is that of -p, computed with the row before.
constexpr bool isNegative(int points, int row) { return row > 0 && row < points - 1 && row % 2 == points % 2; }

/// The first column of a row, from `column` on in steps of two, that is not zero; -1 where there is none.
template <int kPoints, int kColumns>
constexpr int firstIn(const Matrix<kPoints, kColumns>& m, int row, int column) {
  for (; column < kColumns; column += 2)
    if (m.at[row][column] != 0) return column;
  return -1;
}

/// out[point] = Σ m[point][l] · in[l]
template <const auto& kMatrix, class Value>
INLINE void toPoints(const Value* in, int inStep, Value* out, int outStep) {
  constexpr int kPoints = std::size(kMatrix.at), kColumns = std::size(kMatrix.at[0]);
  unroll<kPoints>([&](auto row) __attribute__((always_inline)) {
    constexpr int kRow = row;
    if constexpr (isNegative(kPoints, kRow)) return;
    constexpr int kEven = firstIn(kMatrix, kRow, 0), kOdd = firstIn(kMatrix, kRow, 1);
    Value even, odd;
    unroll<kColumns>([&](auto l) __attribute__((always_inline)) {
      constexpr float kFactor = kMatrix.at[kRow][l];
      Value& sum = l % 2 == 0 ? even : odd;
      if constexpr (l == kEven || l == kOdd)
        sum = kFactor * in[l * inStep];
      else if constexpr (kFactor != 0)
        sum += kFactor * in[l * inStep];
    });
    if constexpr (kOdd < 0) {
      out[kRow * outStep] = even;
    } else if constexpr (kEven < 0) {
      out[kRow * outStep] = odd;
    } else {
      out[kRow * outStep] = even + odd;
      if constexpr (isNegative(kPoints, kRow + 1)) out[(kRow + 1) * outStep] = even - odd;
    }
  });
}

/// out[l] = Σ m[point][l] · in[point]
template <const auto& kMatrix, class Value>
INLINE void fromPoints(const Value* in, int inStep, Value* out, int outStep) {
  constexpr int kPoints = std::size(kMatrix.at), kColumns = std::size(kMatrix.at[0]);
  constexpr int kPairs = (kPoints - 1) / 2, kFirst = kPoints - 1 - 2 * kPairs;
  Value sums[kPairs], differences[kPairs];
  unroll<kPairs>([&](auto pair) __attribute__((always_inline)) {
    sums[pair] = in[(kFirst + 2 * pair) * inStep] + in[(kFirst + 2 * pair + 1) * inStep];
    differences[pair] = in[(kFirst + 2 * pair) * inStep] - in[(kFirst + 2 * pair + 1) * inStep];
  });
  unroll<kColumns>([&](auto l) __attribute__((always_inline)) {
    Value sum = kMatrix.at[kFirst][l] * (l % 2 == 0 ? sums[0] : differences[0]);
    unroll<kPairs>([&](auto pair) __attribute__((always_inline)) {
      if constexpr (pair > 0) sum += kMatrix.at[kFirst + 2 * pair][l] * (l % 2 == 0 ? sums[pair] : differences[pair]);
    });
    if constexpr (kFirst == 1 && kMatrix.at[0][l] != 0) sum += kMatrix.at[0][l] * in[0];
    if constexpr (kMatrix.at[kPoints - 1][l] != 0)
      sum += kMatrix.at[kPoints - 1][l] * in[(kPoints - 1) * inStep];
    out[l * outStep] = sum;
  });
}

/// The tiles of kOutputs × kOutputs pixels for kernels of kKernel × kKernel.
template <int kOutputs, int kKernel>
struct Algorithm {
  static constexpr int kM = kOutputs, kR = kKernel, kT = kM + kR - 1;

  /// Not 0, ±1, ±2, …: the error of a result is a sum over the points of products of the three rows' norms,
  /// and these points make that sum three to four times less.
  static constexpr double point(int row) {
    constexpr double kFour[] = {0, 1, -1}, kSix[] = {0, 0.75, -0.75, 1.5, -1.5},
                     kSeven[] = {0.25, -0.25, 0.875, -0.875, 1.75, -1.75},
                     kEight[] = {0, 0.5, -0.5, 1, -1, 2, -2};
    return kT == 4 ? kFour[row % 3] : kT == 6 ? kSix[row % 5] : kT == 7 ? kSeven[row % 6] : kEight[row % 7];
  }

  struct Matrices {
    Matrix<kT, kT> b;
    Matrix<kT, kM> a;
    Matrix<kT, kR> g;
  };

  static constexpr Matrices make() {
    Matrices result{};
    for (int row = 0; row < kT; ++row) {
      const bool isInfinity = row == kT - 1;
      double coefficients[kT + 1] = {1}, scale = 1;
      for (int other = 0, degree = 0; other < kT - 1; ++other) {
        if (other == row) continue;
        for (int i = ++degree; i >= 0; --i)
          coefficients[i] = (i > 0 ? coefficients[i - 1] : 0) - point(other) * coefficients[i];
        if (!isInfinity) scale *= point(row) - point(other);
      }
      for (int i = 0; i < kT; ++i) result.b.at[row][i] = static_cast<float>(coefficients[i]);
      double power = 1;
      for (int i = 0; i < kT; ++i, power *= point(row)) {
        if (i < kM) result.a.at[row][i] = static_cast<float>(isInfinity ? i == kM - 1 : power);
        if (i < kR) result.g.at[row][i] = static_cast<float>(isInfinity ? i == kR - 1 : power / scale);
      }
    }
    return result;
  }
  static constexpr auto kB = make().b;  // Bᵀ
  static constexpr auto kA = make().a;
  static constexpr auto kG = make().g;
};

/// Both dimensions: in[columns × columns] to out[points × points].
template <const auto& kMatrix, class Value>
INLINE void toPoints2d(const Value* in, Value* out) {
  constexpr int kPoints = std::size(kMatrix.at), kColumns = std::size(kMatrix.at[0]);
  Value half[kPoints * kColumns];
  unroll<kColumns>([&](auto i) __attribute__((always_inline)) { toPoints<kMatrix>(in + i, kColumns, half + i, kColumns); });
  unroll<kPoints>([&](auto i) __attribute__((always_inline)) { toPoints<kMatrix>(half + i * kColumns, 1, out + i * kPoints, 1); });
}

/// And back: in[points × points] to out[columns × columns].
template <const auto& kMatrix, class Value>
INLINE void fromPoints2d(const Value* in, Value* out) {
  constexpr int kPoints = std::size(kMatrix.at), kColumns = std::size(kMatrix.at[0]);
  Value half[kColumns * kPoints];
  unroll<kPoints>([&](auto i) __attribute__((always_inline)) { fromPoints<kMatrix>(in + i, kPoints, half + i, kPoints); });
  unroll<kColumns>([&](auto i) __attribute__((always_inline)) { fromPoints<kMatrix>(half + i * kPoints, 1, out + i * kColumns, 1); });
}

/// A forward convolution (the data gradient is one, of dy) in tiles, which are counted over the whole batch.
struct Tiling {
  int64_t n, h, w, c, k, oh, ow, padH, padW, groups, kernel, tile, outputs, tilesH, tilesW;

  Tiling(Conv2dPass pass, const Conv2dShape& q)
      : n(q.n), h(q.h), w(q.w), c(q.c), k(q.k), oh(q.oh), ow(q.ow), padH(q.padH), padW(q.padW),
        groups(q.groups), kernel(q.r) {
    if (pass == Conv2dPass::Data) {
      std::swap(h, oh);
      std::swap(w, ow);
      std::swap(c, k);
      padH = kernel - 1 - padH;
      padW = kernel - 1 - padW;
    }
    outputs = kernel == 3 ? 4 : kOutputs5;
    tile = outputs + kernel - 1;
    tilesH = (oh + outputs - 1) / outputs;
    tilesW = (ow + outputs - 1) / outputs;
  }
  static constexpr int kOutputs5 = 3;

  int64_t tiles() const { return n * tilesH * tilesW; }
  int64_t points() const { return tile * tile; }
  int64_t groupC() const { return c / groups; }
  int64_t groupK() const { return k / groups; }
  /// Elements of all transformed filters.
  int64_t filters() const { return points() * c * groupK(); }
};

/// Calls body with the algorithm for the size of the kernel.
template <class Body>
INLINE void withAlgorithm(const Tiling& t, Body body) {
  if (t.kernel == 3)
    body(Algorithm<4, 3>{});
  else
    body(Algorithm<Tiling::kOutputs5, 5>{});
}

/// The element where each pixel of a tile begins, in an image of h × w pixels of c channels; null outside of it.
template <int kSize, class Element>
INLINE void locate(Element* image, int64_t h, int64_t w, int64_t c, int64_t top, int64_t left, Element* outside,
                   Element** pixels) {
  for (int64_t row = 0; row < kSize; ++row)
    for (int64_t column = 0; column < kSize; ++column) {
      const bool inside = top + row >= 0 && top + row < h && left + column >= 0 && left + column < w;
      pixels[row * kSize + column] = inside ? image + ((top + row) * w + left + column) * c : outside;
    }
}

/// The transformed tiles of a chunk: for each point rows of channels. The points are no power of two apart,
/// lest they share the lines of the first-level cache.
struct Chunk {
  float* data;
  int64_t channels, step;

  static int64_t stepOf(int64_t rows, int64_t channels) { return (rows * channels + 15) / 16 * 16 + 16; }
};

/// V = Bᵀ d B of the tiles [begin, end). `zeros` are as many as channels.
SIMD_CLONES void transformInput(const Tiling& t, const float* x, const float* zeros, int64_t begin, int64_t end,
                                const Chunk& v) {
  withAlgorithm(t, [&](auto algorithm) __attribute__((always_inline)) {
    using A = decltype(algorithm);
    for (int64_t tile = begin; tile < end; ++tile) {
      const float* pixels[A::kT * A::kT];
      const int64_t image = tile / (t.tilesH * t.tilesW), top = tile / t.tilesW % t.tilesH * A::kM - t.padH;
      locate<A::kT>(x + image * t.h * t.w * t.c, t.h, t.w, t.c, top, tile % t.tilesW * A::kM - t.padW, zeros,
                    pixels);
      float* const to = v.data + (tile - begin) * t.c;
      forChannels(t.c, [&](int64_t i, auto type) __attribute__((always_inline)) {
        using Value = typename decltype(type)::Value;
        Value d[A::kT * A::kT], out[A::kT * A::kT];
#pragma GCC unroll 64
        for (int p = 0; p < A::kT * A::kT; ++p) load(pixels[p] + i, d[p]);
        toPoints2d<A::kB>(d, out);
#pragma GCC unroll 64
        for (int p = 0; p < A::kT * A::kT; ++p) store(out[p], to + p * v.step + i);
      });
    }
  });
}

/// Y = Aᵀ M A of the tiles [begin, end), with bias and ReLU. `nowhere` takes what lies outside of the image.
SIMD_CLONES void transformOutput(const Tiling& t, const Chunk& m, int64_t begin, int64_t end, const float* bias,
                                 bool relu, float* nowhere, float* y) {
  withAlgorithm(t, [&](auto algorithm) __attribute__((always_inline)) {
    using A = decltype(algorithm);
    for (int64_t tile = begin; tile < end; ++tile) {
      float* pixels[A::kM * A::kM];
      const int64_t image = tile / (t.tilesH * t.tilesW), top = tile / t.tilesW % t.tilesH * A::kM;
      locate<A::kM>(y + image * t.oh * t.ow * t.k, t.oh, t.ow, t.k, top, tile % t.tilesW * A::kM, nowhere, pixels);
      const float* const from = m.data + (tile - begin) * t.k;
      forChannels(t.k, [&](int64_t i, auto type) __attribute__((always_inline)) {
        using Value = typename decltype(type)::Value;
        Value in[A::kT * A::kT], out[A::kM * A::kM], b{};
#pragma GCC unroll 64
        for (int p = 0; p < A::kT * A::kT; ++p) load(from + p * m.step + i, in[p]);
        fromPoints2d<A::kA>(in, out);
        if (bias != nullptr) load(bias + i, b);
#pragma GCC unroll 16
        for (int p = 0; p < A::kM * A::kM; ++p) {
          out[p] += b;
          store(relu && true ? (out[p] < 0 ? Value{} : out[p]) : out[p], pixels[p] + i);
        }
      });
    }
  });
}

/// dM = A dY Aᵀ of the tiles [begin, end).
SIMD_CLONES void transformGradient(const Tiling& t, const float* dy, const float* zeros, int64_t begin, int64_t end,
                                   const Chunk& m) {
  withAlgorithm(t, [&](auto algorithm) __attribute__((always_inline)) {
    using A = decltype(algorithm);
    for (int64_t tile = begin; tile < end; ++tile) {
      const float* pixels[A::kM * A::kM];
      const int64_t image = tile / (t.tilesH * t.tilesW), top = tile / t.tilesW % t.tilesH * A::kM;
      locate<A::kM>(dy + image * t.oh * t.ow * t.k, t.oh, t.ow, t.k, top, tile % t.tilesW * A::kM, zeros, pixels);
      float* const to = m.data + (tile - begin) * t.k;
      forChannels(t.k, [&](int64_t i, auto type) __attribute__((always_inline)) {
        using Value = typename decltype(type)::Value;
        Value in[A::kM * A::kM], out[A::kT * A::kT];
#pragma GCC unroll 16
        for (int p = 0; p < A::kM * A::kM; ++p) load(pixels[p] + i, in[p]);
        toPoints2d<A::kA>(in, out);
#pragma GCC unroll 64
        for (int p = 0; p < A::kT * A::kT; ++p) store(out[p], to + p * m.step + i);
      });
    }
  });
}

/// U[point][group][input channel][output channel] = G g Gᵀ for input channels [begin, end), counted over the
/// groups. For the data gradient the input is dy and the filters are turned.
SIMD_CLONES void transformFilters(const Tiling& t, Conv2dPass pass, const float* w, int64_t begin, int64_t end,
                                  float* u) {
  const bool turned = pass == Conv2dPass::Data;
  const int64_t size = t.kernel * t.kernel, inputs = t.groupC(), outputs = t.groupK();
  // In w[filters][kernel][kernel][channels of a group].
  const int64_t pixelStep = turned ? outputs : inputs;
  const int64_t inputStep = turned ? size * outputs : 1, outputStep = turned ? 1 : size * inputs;
  withAlgorithm(t, [&](auto algorithm) __attribute__((always_inline)) {
    using A = decltype(algorithm);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t group = row / inputs, input = row % inputs;
      const float* const from = w + group * inputs * outputs * size + input * inputStep;
      forChannels(outputs, [&](int64_t i, auto type) __attribute__((always_inline)) {
        using Value = typename decltype(type)::Value;
        Value g[A::kR * A::kR]{}, out[A::kT * A::kT];
#pragma GCC unroll 32
        for (int p = 0; p < A::kR * A::kR; ++p)
          gather(from + i * outputStep + (turned ? size - 1 - p : p) * pixelStep, outputStep, g[p]);
        toPoints2d<A::kG>(g, out);
#pragma GCC unroll 64
        for (int p = 0; p < A::kT * A::kT; ++p) store(out[p], u + (p * t.c + row) * outputs + i);
      });
    }
  });
}

/// dg = Gᵀ dU G of the filters [begin, end), dU[part][point][filter][input channel] summed over the parts.
SIMD_CLONES void transformFilterGradient(const Tiling& t, const float* du, int parts, int64_t begin, int64_t end,
                                         float* dw) {
  withAlgorithm(t, [&](auto algorithm) __attribute__((always_inline)) {
    using A = decltype(algorithm);
    for (int64_t row = begin; row < end; ++row)
      forChannels(t.groupC(), [&](int64_t i, auto type) __attribute__((always_inline)) {
        using Value = typename decltype(type)::Value;
        Value sum[A::kT * A::kT], out[A::kR * A::kR], other;
#pragma GCC unroll 64
        for (int p = 0; p < A::kT * A::kT; ++p) {
          const float* from = du + (p * t.k + row) * t.groupC() + i;
          load(from, sum[p]);
          for (int part = 1; part < parts; ++part) {
            load(from += t.filters(), other);
            sum[p] += other;
          }
        }
        fromPoints2d<A::kG>(sum, out);
#pragma GCC unroll 32
        for (int p = 0; p < A::kR * A::kR; ++p) store(out[p], dw + (row * A::kR * A::kR + p) * t.groupC() + i);
      });
  });
}

/// Each thread's memory for a chunk of tiles, and its order of work.
class Chunks {
 public:
  Chunks(Context& context, const Tiling& t, int maxParts, int64_t maxRows)
      : tiles_(t.tiles()),
        parts_(static_cast<int>(std::max<int64_t>(1, std::min<int64_t>({context.threads, maxParts, tiles_ / 8})))),
        rows_(std::min(maxRows, (tiles_ + parts_ - 1) / parts_)),
        stepV_(Chunk::stepOf(rows_, t.c)),
        stepM_(Chunk::stepOf(rows_, t.k)),
        edge_(std::max(t.c, t.k)),
        stride_(t.points() * (stepV_ + stepM_) + 2 * edge_),
        c_(t.c), k_(t.k), points_(t.points()),
        data_(context.workspace<float>(kTiles, parts_ * stride_)) {}

  int parts() const { return parts_; }

  /// Calls body(part, begin, end, V, M, zeros, nowhere) for tiles [begin, end), a chunk.
  template <class Body>
  void forEach(Body body) const {
    parallelFor(parts_, parts_, 1, [&](int64_t first, int64_t last) {
      for (int64_t part = first; part < last; ++part) {
        float* data = data_ + part * stride_;
        const Chunk v{data, c_, stepV_}, m{data + points_ * stepV_, k_, stepM_};
        float* const zeros = data + points_ * (stepV_ + stepM_);
        std::fill(zeros, zeros + edge_, 0.0f);
        const int64_t end = tiles_ * (part + 1) / parts_;
        for (int64_t tile = tiles_ * part / parts_; tile < end; tile += rows_)
          body(part, tile, std::min(end, tile + rows_), v, m, zeros, zeros + edge_);
      }
    });
  }

 private:
  int64_t tiles_;
  int parts_;
  int64_t rows_, stepV_, stepM_, edge_, stride_, c_, k_, points_;
  float* data_;
};

int64_t rowsFor(const char* name, int64_t standard) { const char* v = getenv(name); return v ? atoll(v) : standard; }

/// Also the data gradient, as a convolution of dy.
void forward(Context& context, Conv2dPass pass, const Tiling& t, const float* x, const float* w, const float* bias,
             bool relu, float* y) {
  float* const u = context.workspace<float>(kFilters, t.filters());
  parallelFor(context.threads, t.c, 1, [&](int64_t begin, int64_t end) { transformFilters(t, pass, w, begin, end, u); });
  const Chunks chunks(context, t, context.threads, rowsFor("WROWS", 64));
  chunks.forEach([&](int64_t, int64_t begin, int64_t end, const Chunk& v, const Chunk& m, const float* zeros, float* nowhere) {
    transformInput(t, x, zeros, begin, end, v);
    for (int64_t point = 0; point < t.points(); ++point)
      for (int64_t group = 0; group < t.groups; ++group)
        gemm(false, false, end - begin, t.groupK(), t.groupC(), v.data + point * v.step + group * t.groupC(), t.c,
             u + (point * t.c + group * t.groupC()) * t.groupK(), t.groupK(), 0,
             m.data + point * m.step + group * t.groupK(), t.k);
    transformOutput(t, m, begin, end, bias, relu, nowhere, y);
  });
}

void backwardFilter(Context& context, const Tiling& t, const float* x, const float* dy, float* dw) {
  const Chunks chunks(context, t, 16, rowsFor("WROWSF", 64));
  float* const du = context.workspace<float>(kFilters, chunks.parts() * t.filters());
  chunks.forEach([&](int64_t part, int64_t begin, int64_t end, const Chunk& v, const Chunk& m, const float* zeros, float*) {
    transformInput(t, x, zeros, begin, end, v);
    transformGradient(t, dy, zeros, begin, end, m);
    const bool first = begin == t.tiles() * part / chunks.parts();
    for (int64_t point = 0; point < t.points(); ++point)
      for (int64_t group = 0; group < t.groups; ++group)
        gemm(true, false, t.groupK(), t.groupC(), end - begin, m.data + point * m.step + group * t.groupK(), t.k,
             v.data + point * v.step + group * t.groupC(), t.c, first ? 0 : 1,
             du + part * t.filters() + (point * t.k + group * t.groupK()) * t.groupC(), t.groupC());
  });
  parallelFor(context.threads, t.k, 1, [&](int64_t begin, int64_t end) {
    transformFilterGradient(t, du, chunks.parts(), begin, end, dw);
  });
}

void run(Context& context, Conv2dPass pass, const Conv2dShape& q, const float* a, const float* b,
         const float* bias, float* out) {
  const Tiling t(pass, q);
  if (pass == Conv2dPass::Filter)
    backwardFilter(context, t, a, b, out);
  else
    forward(context, pass, t, a, b, bias, q.relu, out);
}

bool supports(Conv2dPass, const Conv2dShape& q) {
  const bool dense = q.strideH == 1 && q.strideW == 1 && q.dilationH == 1 && q.dilationW == 1;
  return dense && q.r == q.s && (q.r == 3 || q.r == 5) && q.padH < q.r && q.padW < q.r;
}

}  // namespace

const Conv2dImplementation conv2dWinograd{"winograd", supports, run};

}  // namespace nodecudnn
