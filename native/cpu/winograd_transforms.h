#pragma once
#include <cstdint>
#include <iterator>
#include <type_traits>
#include <utility>

#include "cpu/kernel.h"

/// Winograd's (Toom and Cook's) convolution, for stride 1.
///
/// In one dimension y_i = Σ_j d_(i+j) · g_j, m outputs y from t = m + r - 1 inputs d, is the transpose of a
/// multiplication of polynomials of degrees m - 1 and r - 1. Their product has t coefficients, so that its
/// values at t points determine it: m·r multiplications become t. With the points ±p, …, perhaps 0, and ∞
/// (the leading coefficient),
///
///     y = Aᵀ [(G g) ⊙ (Bᵀ d)],  A[point][i] = point^i,  G[point][j] = point^j / N(point),
///     Bᵀ[point] = the coefficients of Π (x - other) over the other finite points, N(point) = its value
///     there.
///
/// In two dimensions each matrix is applied to rows and to columns: Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A, for each
/// tile of m × m output pixels. Summed over the input channels, ⊙ is a matrix product for each of the t²
/// positions in a tile:
///
///     M[tile, k] = V[tile, c] · U[c, k],  V = Bᵀ d B,  U = G g Gᵀ,  Y = Aᵀ M A.
///
/// The gradient of the data is such a convolution of dy with the filters turned by half a turn. The filters'
/// gradient goes back through the same equations: dM = A dY Aᵀ, dU[k, c] = Σ dM[tile, k] · V[tile, c] over
/// the tiles of all images, dg = Gᵀ dU G.
namespace nodecudnn::winograd {

/// kFloats floats, which need no alignment in memory.
template <int kFloats>
struct Vector {
  typedef float Value __attribute__((vector_size(kFloats * sizeof(float))));
  typedef float At __attribute__((vector_size(kFloats * sizeof(float)), aligned(sizeof(float)), may_alias));
};
template <>
struct Vector<1> {
  using Value = float;
  using At = float;
};

template <int kFloats>
INLINE void load(const float* from, typename Vector<kFloats>::Value& value) {
  value = *reinterpret_cast<const typename Vector<kFloats>::At*>(from);
}
template <int kFloats>
INLINE void store(const typename Vector<kFloats>::Value& value, float* to) {
  *reinterpret_cast<typename Vector<kFloats>::At*>(to) = value;
}
/// Elements that are `step` apart.
template <int kFloats>
INLINE void gather(const float* from, int64_t step, typename Vector<kFloats>::Value& value) {
  if constexpr (kFloats == 1)
    value = *from;
  else
    for (int i = 0; i < kFloats; ++i) value[i] = from[i * step];
}

/// Calls visit(i, the number of channels) for the channels from i on that are worked on together: kFloats, or
/// fewer of the last.
template <int kFloats, class Visit>
INLINE void forChannels(int64_t channels, Visit visit) {
  int64_t i = 0;
  for (; i + kFloats <= channels; i += kFloats) visit(i, std::integral_constant<int, kFloats>{});
  if constexpr (kFloats > 8)
    for (; i + 8 <= channels; i += 8) visit(i, std::integral_constant<int, 8>{});
  for (; i < channels; ++i) visit(i, std::integral_constant<int, 1>{});
}

/// A row for each point: 0 if they are even in number, p, -p, …, ∞. Since those of p and -p differ in the
/// sign of their odd columns, half of the arithmetic serves both.
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
constexpr bool isNegative(int points, int row) {
  return row > 0 && row < points - 1 && row % 2 == points % 2;
}

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
  unroll<kPoints>([&](auto row) INLINE_LAMBDA {
    constexpr int kRow = row;
    if constexpr (isNegative(kPoints, kRow)) return;
    constexpr int kEven = firstIn(kMatrix, kRow, 0), kOdd = firstIn(kMatrix, kRow, 1);
    Value even, odd;
    unroll<kColumns>([&](auto l) INLINE_LAMBDA {
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
  unroll<kPairs>([&](auto pair) INLINE_LAMBDA {
    sums[pair] = in[(kFirst + 2 * pair) * inStep] + in[(kFirst + 2 * pair + 1) * inStep];
    differences[pair] = in[(kFirst + 2 * pair) * inStep] - in[(kFirst + 2 * pair + 1) * inStep];
  });
  unroll<kColumns>([&](auto l) INLINE_LAMBDA {
    Value sum = kMatrix.at[kFirst][l] * (l % 2 == 0 ? sums[0] : differences[0]);
    unroll<kPairs>([&](auto pair) INLINE_LAMBDA {
      if constexpr (pair > 0)
        sum += kMatrix.at[kFirst + 2 * pair][l] * (l % 2 == 0 ? sums[pair] : differences[pair]);
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

  /// Row by row, but for ∞. The error of a result is the sum over the points of the products of the norms of
  /// their three rows; in both dimensions its square. With these points that is 22 for 6 and 61 for 7, with
  /// 0, ±1, ±2 it were 94 for 6.
  static constexpr double point(int row) {
    constexpr double kSix[] = {0, 0.75, -0.75, 1.5, -1.5};
    constexpr double kSeven[] = {0.25, -0.25, 0.875, -0.875, 1.75, -1.75};
    return kT == 6 ? kSix[row % 5] : kSeven[row % 6];
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
  unroll<kColumns>([&](auto i) INLINE_LAMBDA { toPoints<kMatrix>(in + i, kColumns, half + i, kColumns); });
  unroll<kPoints>([&](auto i)
                      INLINE_LAMBDA { toPoints<kMatrix>(half + i * kColumns, 1, out + i * kPoints, 1); });
}

/// And back: in[points × points] to out[columns × columns].
template <const auto& kMatrix, class Value>
INLINE void fromPoints2d(const Value* in, Value* out) {
  constexpr int kPoints = std::size(kMatrix.at), kColumns = std::size(kMatrix.at[0]);
  Value half[kColumns * kPoints];
  unroll<kPoints>([&](auto i) INLINE_LAMBDA { fromPoints<kMatrix>(in + i, kPoints, half + i, kPoints); });
  unroll<kColumns>([&](auto i)
                       INLINE_LAMBDA { fromPoints<kMatrix>(half + i * kPoints, 1, out + i * kColumns, 1); });
}

}  // namespace nodecudnn::winograd
