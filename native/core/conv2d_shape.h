#pragma once
#include <array>

#include "core/ops.h"

namespace nodecudnn {

/// A convolution's numbers. `r` × `s` is the kernel; dilation 1 is dense; padding is the same on both sides.
struct Conv2dShape {
  int64_t n, h, w, c, k, r, s, oh, ow;
  int64_t strideH, strideW, padH, padW, dilationH, dilationW, groups;
  bool relu, bias;  // Of the forward.

  int64_t groupC() const { return c / groups; }
  int64_t groupK() const { return k / groups; }
  /// Elements of one filter.
  int64_t filter() const { return r * s * groupC(); }
  /// All of it, for the key of a plan.
  std::array<int64_t, 16> numbers() const {
    return {n, h, w, c, k, r, s, strideH, strideW, padH, padW, dilationH, dilationW, groups, relu, bias};
  }
};

enum class Conv2dPass { Forward, Data, Filter };

inline const char* nameOf(Conv2dPass pass) {
  return pass == Conv2dPass::Forward ? "forward" : pass == Conv2dPass::Data ? "data" : "filter";
}

inline int64_t conv2dOutputSize(int64_t size, int64_t kernel, int64_t stride, int64_t padding,
                                int64_t dilation) {
  return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
}

/// Of the convolution of `x` with `w` to `y`, which fit together; without ReLU and bias.
inline Conv2dShape shapeOf(const Conv2dParams& p, const Tensor& x, const Tensor& w, const Tensor& y) {
  CHECK(x.shape.rank() == 4 && w.shape.rank() == 4 && y.shape.rank() == 4,
        "Expected rank 4 for the tensors of conv2d but received ", x.shape, ", ", w.shape, " and ", y.shape);
  const Conv2dShape q{x.shape[0], x.shape[1],  x.shape[2],  x.shape[3], w.shape[0], w.shape[1],
                      w.shape[2], y.shape[1],  y.shape[2],  p.strideH,  p.strideW,  p.padH,
                      p.padW,     p.dilationH, p.dilationW, p.groups,   false,      false};
  CHECK(q.groups > 0 && q.c % q.groups == 0 && q.k % q.groups == 0 && w.shape[3] == q.groupC(),
        "Expected channels in ", q.groups, " groups for conv2d but received x ", x.shape, " and w ", w.shape);
  CHECK(y.shape == (Shape{q.n, conv2dOutputSize(q.h, q.r, q.strideH, q.padH, q.dilationH),
                          conv2dOutputSize(q.w, q.s, q.strideW, q.padW, q.dilationW), q.k}),
        "Expected another shape for the output of conv2d of ", x.shape, " and ", w.shape, " but received ",
        y.shape);
  return q;
}

/// Of a forward.
inline Conv2dShape shapeOf(const Conv2dParams& p, const Tensor& x, const Tensor& w, const Tensor* bias,
                           const Tensor& y) {
  Conv2dShape q = shapeOf(p, x, w, y);
  q.relu = p.relu;
  q.bias = bias != nullptr;
  CHECK(bias == nullptr || bias->shape == Shape{q.k}, "Expected ", q.k,
        " elements for the bias of conv2d but received ", bias->shape);
  return q;
}

}  // namespace nodecudnn
