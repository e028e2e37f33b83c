#pragma once
#include "core/ops.h"
#include "cpu/context.h"
#include "cpu/parallel.h"

/// For what a SIMD_CLONES function calls: only inlined code is compiled for each instruction set.
#define INLINE inline __attribute__((always_inline))

namespace nodecudnn {

inline void checkShape(const char* name, const Shape& received, const Shape& expected) {
  CHECK(received == expected, "Expected shape ", expected, " for ", name, " but received ", received);
}

inline void checkRank(const char* name, const Shape& received, int rank) {
  CHECK(received.rank() == rank, "Expected ", rank, " dimensions for ", name, " but received shape ",
        received);
}

}  // namespace nodecudnn
