#pragma once
#include "simulator/descriptors.h"

namespace simulator {

/// Puts what a plan computes into the handle's stream. Throws Refusal, after a violation, unless the pack has
/// all tensors of the plan's graph, in memory of the plan's device.
void execute(cudnnHandle_t handle, const Record& plan, const Record& pack);

}  // namespace simulator
