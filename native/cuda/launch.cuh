#pragma once
#include <algorithm>

#include "cuda/error.h"

/// The only two ways in which a kernel starts. By nvcc they launch functors on the device; any other compiler
/// makes loops of them, so that the same functors run on a CPU.

#ifdef __CUDACC__
#define DEVICE __device__
#else
#define DEVICE
#endif

namespace nodecudnn {

/// The threads that share a row: a warp on a device, one thread on a CPU. Each takes the columns rank, rank +
/// size, … All of them call `sum` and `max`, which give all the same.
struct Group {
  int rank, size;

  template <class T>
  DEVICE T sum(T value) const {
#ifdef __CUDA_ARCH__
    for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(~0u, value, distance);
#endif
    return value;
  }
  DEVICE float max(float value) const {
#ifdef __CUDA_ARCH__
    for (int distance = 16; distance > 0; distance /= 2)
      value = fmaxf(value, __shfl_xor_sync(~0u, value, distance));
#endif
    return value;
  }
};

#ifdef __CUDACC__
constexpr int kBlockThreads = 256;
constexpr int kWarpThreads = 32;
constexpr int64_t kMaxBlocks = int64_t{1} << 20;  // More elements than that gives: each thread takes several.

template <class Functor>
__global__ void __launch_bounds__(kBlockThreads) eachKernel(int64_t n, Functor functor) {
  const int64_t step = int64_t{gridDim.x} * kBlockThreads;
  for (int64_t i = int64_t{blockIdx.x} * kBlockThreads + threadIdx.x; i < n; i += step) functor(i);
}

template <class Functor>
__global__ void __launch_bounds__(kBlockThreads) rowsKernel(int64_t n, Functor functor) {
  constexpr int kRows = kBlockThreads / kWarpThreads;
  const Group group{static_cast<int>(threadIdx.x) % kWarpThreads, kWarpThreads};
  const int64_t step = int64_t{gridDim.x} * kRows;
  for (int64_t row = int64_t{blockIdx.x} * kRows + threadIdx.x / kWarpThreads; row < n; row += step)
    functor(group, row);
}

inline unsigned blocksFor(int64_t n, int64_t perBlock) {
  return static_cast<unsigned>(std::min(kMaxBlocks, (n + perBlock - 1) / perBlock));
}
#else
/// What a launch is on a CPU, defined by whoever compiles kernels for one: puts `loop(functor, n)` into the
/// stream. The functor's bytes, which have no others between them than zeros, are copied before it returns;
/// cudaGetLastError tells a failure.
void launchOnHost(cudaStream_t stream, int64_t n, const void* functor, size_t bytes,
                  void (*loop)(const void* functor, int64_t n));
#endif

/// A library may have left an error that it did not return: no launch of ours may find it.
inline void forgetLastError() { static_cast<void>(cudaGetLastError()); }

/// functor(i) for each i in [0, n), in any order.
template <class Functor>
void each(cudaStream_t stream, int64_t n, Functor functor) {
  if (n == 0) return;
  forgetLastError();
#ifdef __CUDACC__
  eachKernel<<<blocksFor(n, kBlockThreads), kBlockThreads, 0, stream>>>(n, functor);
#else
  __builtin_clear_padding(&functor);
  launchOnHost(stream, n, &functor, sizeof functor, [](const void* copy, int64_t count) {
    for (int64_t i = 0; i < count; ++i) (*static_cast<const Functor*>(copy))(i);
  });
#endif
  CUDA_CHECK(cudaGetLastError(), "a kernel over ", n, " elements");
}

/// functor(group, row) for each row in [0, n), in any order, by all threads of a group.
template <class Functor>
void rows(cudaStream_t stream, int64_t n, Functor functor) {
  if (n == 0) return;
  forgetLastError();
#ifdef __CUDACC__
  rowsKernel<<<blocksFor(n, kBlockThreads / kWarpThreads), kBlockThreads, 0, stream>>>(n, functor);
#else
  __builtin_clear_padding(&functor);
  launchOnHost(stream, n, &functor, sizeof functor, [](const void* copy, int64_t count) {
    for (int64_t row = 0; row < count; ++row) (*static_cast<const Functor*>(copy))(Group{0, 1}, row);
  });
#endif
  CUDA_CHECK(cudaGetLastError(), "a kernel over ", n, " rows");
}

}  // namespace nodecudnn
