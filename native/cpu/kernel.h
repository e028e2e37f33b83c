#pragma once
#include "core/ops.h"
#include "cpu/context.h"
#include "cpu/parallel.h"

/// For what a SIMD_CLONES function calls: only inlined code is compiled for each instruction set.
#define INLINE inline __attribute__((always_inline))
/// The same for a lambda, after its parameters.
#define INLINE_LAMBDA __attribute__((always_inline))
