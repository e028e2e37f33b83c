#pragma once
#include <type_traits>

#include "core/ops.h"
#include "cpu/context.h"
#include "cpu/parallel.h"

/// INLINE is for what a SIMD_CLONES function or the body of forIsa calls: only inlined code is compiled for
/// each instruction set. INLINE_LAMBDA is the same for a lambda, after its parameters. Under AddressSanitizer
/// nothing need be inlined, and kernels may be those of the baseline.
#if defined(__SANITIZE_ADDRESS__)  // Its checks in all that is inlined take a compiler many minutes.
#define INLINE inline
#define INLINE_LAMBDA
#else
#define INLINE inline __attribute__((always_inline))
#define INLINE_LAMBDA __attribute__((always_inline))
#endif

namespace nodecudnn {

#if defined(__x86_64__)
#if defined(__clang__)
#define AVX512 "avx2,fma,avx512f,avx512dq,avx512bw,avx512vl"
#else  // It would use half of each register otherwise.
#define AVX512 "avx2,fma,avx512f,avx512dq,avx512bw,avx512vl,prefer-vector-width=512"
#endif
template <class Body>
__attribute__((target(AVX512))) void forAvx512(const Body& body) {
  body(std::integral_constant<int, 16>{});
}
#undef AVX512
template <class Body>
__attribute__((target("avx2,fma"))) void forAvx2(const Body& body) {
  body(std::integral_constant<int, 8>{});
}
#endif

/// Calls body(how many floats to work on at a time), an INLINE_LAMBDA that takes an integral_constant,
/// compiled for the instruction set `isa`. In place of SIMD_CLONES where registers of 64 bytes pay: on AMD
/// family 26 LRN gains a third by them, Winograd's transforms some per cent, and pooling loses.
template <class Body>
void forIsa([[maybe_unused]] Isa isa, const Body& body) {
#if defined(__x86_64__)
  if (isa == Isa::Avx512) return forAvx512(body);
  if (isa == Isa::Avx2) return forAvx2(body);
#endif
  body(std::integral_constant<int, 8>{});
}

}  // namespace nodecudnn
