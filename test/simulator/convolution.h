#pragma once
#include <array>
#include <cstdint>
#include <vector>

/// The arithmetic of convolutions, in float32 with sums that are in double but for short runs.
namespace simulator {

/// Four dimensions, [n, c, h, w] or a filter's [k, c, r, s], and how far apart in memory their elements are.
struct Layout {
  std::array<int64_t, 4> dims, strides;

  int64_t count() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
  /// From the first element in memory to behind the last.
  int64_t extent() const;
};

/// A tensor's elements without gaps, the channels next to each other.
using Packed = std::vector<float>;

Packed gather(const Layout& layout, const float* memory);
void scatter(const Layout& layout, const Packed& values, float* memory);

/// `groupC` channels and `groupK` filters belong to each other.
struct Convolution {
  int64_t n, h, w, groupC, groupK, groups, r, s, oh, ow;
  std::array<int64_t, 2> padding, stride, dilation;
};

Packed forward(const Convolution& q, const Packed& x, const Packed& w);
Packed backwardData(const Convolution& q, const Packed& dy, const Packed& w);
Packed backwardFilter(const Convolution& q, const Packed& x, const Packed& dy);

}  // namespace simulator
