#include "cuda/error.h"

namespace nodecudnn {
namespace {

/// "call: STATUS (text) on cuda:0, for about"
std::string message(const std::string& call, const CallFailure& failure, const std::string& about) {
  int device = 0;
  const bool known = cudaGetDevice(&device) == cudaSuccess;
  return concat(call.substr(0, call.find('(')), ": ", failure.status,
                failure.text.empty() ? "" : concat(" (", failure.text, ")"),
                known ? concat(" on cuda:", device) : "", about.empty() ? "" : concat(", for ", about));
}

}  // namespace

CudaError::CudaError(const char* call, const CallFailure& failure, const std::string& about)
    : Error(failure.outOfMemory ? ErrorCode::OutOfMemory : ErrorCode::Cuda, message(call, failure, about)) {}

CallFailure describeFailure(cudaError_t status) {
  cudaGetLastError();  // Or a later check of a launch finds it again.
  return {cudaGetErrorName(status), cudaGetErrorString(status), status == cudaErrorMemoryAllocation};
}

}  // namespace nodecudnn
