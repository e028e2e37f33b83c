#pragma once
#include "core/conv2d_shape.h"
#include "cpu/context.h"

namespace nodecudnn {

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
/// Filter gradient of few channels, by products with the windows where they lie.
extern const Conv2dImplementation conv2dWindows;
/// Winograd's convolution; kernels of 3×3 and 5×5, stride 1.
extern const Conv2dImplementation conv2dWinograd;

}  // namespace nodecudnn
