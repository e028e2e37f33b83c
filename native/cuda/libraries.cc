#include "cuda/libraries.h"

namespace nodecudnn {
CallFailure describeFailure(cudnnStatus_t status) {
  char text[1024] = "";
  cudnnGetLastErrorString(text, sizeof text);
  return {cudnnGetErrorString(status), text,
          status == CUDNN_STATUS_ALLOC_FAILED ||
              status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ||
              status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED};
}

CallFailure describeFailure(cublasStatus_t status) {
  return {cublasGetStatusName(status), cublasGetStatusString(status), status == CUBLAS_STATUS_ALLOC_FAILED};
}

OwnedCudnn makeCudnn(cudaStream_t stream) {
  cudnnHandle_t handle = nullptr;
  CUDA_CHECK(cudnnCreate(&handle));
  OwnedCudnn owned(handle);
  CUDA_CHECK(cudnnSetStream(handle, stream));
  return owned;
}

OwnedCublas makeCublas(cudaStream_t stream, void* workspace) {
  cublasHandle_t handle = nullptr;
  CUDA_CHECK(cublasCreate(&handle));
  OwnedCublas owned(handle);
  CUDA_CHECK(cublasSetStream(handle, stream));
  CUDA_CHECK(cublasSetWorkspace(handle, workspace, kCublasWorkspaceBytes));
  CUDA_CHECK(cublasSetMathMode(handle, CUBLAS_DEFAULT_MATH));
  return owned;
}

}  // namespace nodecudnn
