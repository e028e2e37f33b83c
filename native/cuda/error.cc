#include "cuda/error.h"

namespace nodecudnn {
namespace {

/// "call: STATUS (text) on cuda:0, for about"
std::string message(const std::string& call, const CallFailure& failure, const std::string& about) {
  return concat(call.substr(0, call.find('(')), ": ", failure.status,
                failure.text.empty() ? "" : concat(" (", failure.text, ")"),
                chosenDevice < 0 ? "" : concat(" on cuda:", chosenDevice),
                about.empty() ? "" : concat(", for ", about));
}

}  // namespace

CudaError::CudaError(const char* call, const CallFailure& failure, const std::string& about)
    : Error(failure.outOfMemory ? ErrorCode::OutOfMemory : ErrorCode::Cuda, message(call, failure, about)) {}

CallFailure describeFailure(cudaError_t status) {
  cudaGetLastError();  // Or a later check of a launch finds it again.
  return {cudaGetErrorName(status), cudaGetErrorString(status), status == cudaErrorMemoryAllocation};
}

}  // namespace nodecudnn
