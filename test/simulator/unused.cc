// What cudnn-frontend's headers name of cudart, and convolutions do not call.
#include <cuda_runtime.h>

#include "simulator/simulator.h"

#define UNUSED(name, ...)                          \
  cudaError_t name(__VA_ARGS__) {                  \
    simulator::violation("not simulated: " #name); \
    return cudaErrorNotSupported;                  \
  }

extern "C" {
UNUSED(cudaDeviceSynchronize)
UNUSED(cudaGraphRetainUserObject, cudaGraph_t, cudaUserObject_t, unsigned, unsigned)
UNUSED(cudaKernelSetAttributeForDevice, cudaKernel_t, cudaFuncAttribute, int, int)
UNUSED(cudaLaunchKernel, const void*, dim3, dim3, void**, size_t, cudaStream_t)
UNUSED(cudaLibraryUnload, cudaLibrary_t)
UNUSED(cudaPointerGetAttributes, cudaPointerAttributes*, const void*)
UNUSED(cudaThreadExchangeStreamCaptureMode, cudaStreamCaptureMode*)
UNUSED(cudaUserObjectCreate, cudaUserObject_t*, void*, cudaHostFn_t, unsigned, unsigned)
UNUSED(cudaUserObjectRelease, cudaUserObject_t, unsigned)
}
