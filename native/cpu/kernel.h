#pragma once
#include "core/ops.h"
#include "cpu/context.h"
#include "cpu/parallel.h"

/// INLINE is for what a SIMD_CLONES function calls: only inlined code is compiled for each instruction set.
/// INLINE_LAMBDA is the same for a lambda, after its parameters.
#if defined(__SANITIZE_ADDRESS__)  // Its checks in all that is inlined take a compiler many minutes.
#define INLINE inline
#define INLINE_LAMBDA
#else
#define INLINE inline __attribute__((always_inline))
#define INLINE_LAMBDA __attribute__((always_inline))
#endif
