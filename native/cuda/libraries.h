#pragma once
#include <cublas_v2.h>
#include <cudnn.h>

#include "cuda/owned.h"

namespace nodecudnn {

inline bool failed(cudnnStatus_t status) { return status != CUDNN_STATUS_SUCCESS; }
inline bool failed(cublasStatus_t status) { return status != CUBLAS_STATUS_SUCCESS; }
CallFailure describeFailure(cudnnStatus_t status);
CallFailure describeFailure(cublasStatus_t status);

using OwnedCudnn = Owned<cudnnHandle_t, cudnnDestroy>;
using OwnedCublas = Owned<cublasHandle_t, cublasDestroy>;

/// What NVIDIA recommends for its largest devices. With one of its own, a handle's results are repeatable.
constexpr size_t kCublasWorkspaceBytes = size_t{32} << 20;

OwnedCudnn makeCudnn(cudaStream_t stream);
/// Products in float32, never in TF32.
OwnedCublas makeCublas(cudaStream_t stream, void* workspace);

}  // namespace nodecudnn
