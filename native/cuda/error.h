#pragma once
#include <cuda_runtime.h>

#include "core/error.h"

namespace nodecudnn {

/// The device that this thread chose; -1 before it did, as on JavaScript's thread.
inline thread_local int chosenDevice = -1;

/// What a call into CUDA, cuDNN or cuBLAS returned where it failed: its status by name, and all that the
/// library says about it.
struct CallFailure {
  std::string status, text;
  bool outOfMemory;
};

/// A call into CUDA, cuDNN or cuBLAS that failed. `call` is its source; `about` says with what, such as
/// shapes.
class CudaError : public Error {
 public:
  CudaError(const char* call, const CallFailure& failure, const std::string& about);
};

inline bool failed(cudaError_t status) { return status != cudaSuccess; }
CallFailure describeFailure(cudaError_t status);

}  // namespace nodecudnn

/// Throws CudaError where the call fails. What follows it are the parts of `about`.
#define CUDA_CHECK(call, ...)                                                                             \
  do {                                                                                                    \
    const auto callStatus = (call);                                                                       \
    if (failed(callStatus))                                                                               \
      throw ::nodecudnn::CudaError(#call, describeFailure(callStatus), ::nodecudnn::concat(__VA_ARGS__)); \
  } while (false)
