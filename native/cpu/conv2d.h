#pragma once
#include "core/ops.h"
#include "cpu/context.h"

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
};

enum class Conv2dPass { Forward, Data, Filter };

/// One way to compute convolutions: it computes completely (groups, bias, ReLU) what `supports` claims.
struct Conv2dImplementation {
  const char* name;
  bool (*supports)(Conv2dPass, const Conv2dShape&);
  /// Forward: (x, w, bias or null, y). Data: (dy, w, null, dx). Filter: (x, dy, null, dw).
  void (*run)(Context&, Conv2dPass, const Conv2dShape&, const float* a, const float* b, const float* bias,
              float* out);
};

/// oneDNN's first choice over NHWC activations; everything.
extern const Conv2dImplementation conv2dOneDnn;
/// The same, but its older direct kernels where it has one for the shape.
extern const Conv2dImplementation conv2dOneDnnJit;
/// Filter gradient by oneDNN in the layouts that it likes best, with the activations reordered.
extern const Conv2dImplementation conv2dBlocked;
/// Patches copied to a matrix (im2col) and multiplied; everything.
extern const Conv2dImplementation conv2dIm2col;

}  // namespace nodecudnn
