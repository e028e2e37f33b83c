#pragma once

namespace nodecudnn {

/// What a step of Adam multiplies with. `rate` and `rootScale` contain the bias corrections:
/// w -= rate · m / (rootScale · sqrt(v) + eps)
struct AdamFactors {
  float beta1, beta2, gain1, gain2, decay, rate, rootScale, eps;
};

}  // namespace nodecudnn
