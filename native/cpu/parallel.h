#pragma once
#include <algorithm>
#include <cstdint>
#include <exception>

/// Kernels marked so are compiled for AVX2 and for the baseline, and chosen when the addon is loaded. Mark
/// the serial function that holds the loop: code that OpenMP outlines is not cloned.
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)  // The choice runs before ThreadSanitizer can.
#define SIMD_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define SIMD_CLONES
#endif

namespace nodecudnn {

/// Calls body(begin, end) with `threads` contiguous parts of [0, count), each a multiple of `grain` but the
/// last. The partition depends on the arguments only, so sums taken in its order are repeatable. Throws what
/// a body threw.
template <class Body>
void parallelFor(int threads, int64_t count, int64_t grain, Body body) {
  const int64_t grains = (count + grain - 1) / grain;
  const int parts = static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(threads, grains)));
  if (parts == 1) return body(int64_t{0}, count);
  std::exception_ptr failure;
#pragma omp parallel for schedule(static) num_threads(parts)
  for (int part = 0; part < parts; ++part) try {
      body(grains * part / parts * grain, std::min(count, grains * (part + 1) / parts * grain));
    } catch (...) {
#pragma omp critical
      failure = std::current_exception();
    }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace nodecudnn
