#pragma once
#include "core/ops.h"
#include "cuda/libraries.h"

/// The descriptors of cuDNN's calls that are no graphs. They need no device.
namespace nodecudnn {

using TensorDescriptor = Owned<cudnnTensorDescriptor_t, cudnnDestroyTensorDescriptor>;
using LrnDescriptor = Owned<cudnnLRNDescriptor_t, cudnnDestroyLRNDescriptor>;
using PoolingDescriptor = Owned<cudnnPoolingDescriptor_t, cudnnDestroyPoolingDescriptor>;

/// Of [N,H,W,C].
inline TensorDescriptor describeNhwc(int64_t n, int64_t h, int64_t w, int64_t c) {
  cudnnTensorDescriptor_t made = nullptr;
  CUDA_CHECK(cudnnCreateTensorDescriptor(&made));
  TensorDescriptor descriptor(made);
  const Shape shape{n, h, w, c};
  CHECK(shape.count() <= INT32_MAX, "Expected at most ", INT32_MAX, " elements for a tensor of shape ",
        shape);
  CUDA_CHECK(cudnnSetTensor4dDescriptor(made, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, static_cast<int>(n),
                                        static_cast<int>(c), static_cast<int>(h), static_cast<int>(w)),
             "shape ", shape);
  return descriptor;
}

/// Whether cuDNN computes this normalisation: what it refuses our kernels do.
inline bool isForCudnn(const LrnParams& p) {
  return p.size >= CUDNN_LRN_MIN_N && p.size <= CUDNN_LRN_MAX_N && p.k >= CUDNN_LRN_MIN_K &&
         p.beta >= CUDNN_LRN_MIN_BETA;
}

/// cuDNN divides alpha by the size too.
inline LrnDescriptor describe(const LrnParams& p) {
  cudnnLRNDescriptor_t made = nullptr;
  CUDA_CHECK(cudnnCreateLRNDescriptor(&made));
  LrnDescriptor descriptor(made);
  CUDA_CHECK(cudnnSetLRNDescriptor(made, static_cast<unsigned>(p.size), p.alpha, p.beta, p.k), "size ",
             p.size, ", alpha ", p.alpha, ", beta ", p.beta, ", k ", p.k);
  return descriptor;
}

inline PoolingDescriptor describe(const MaxPool2dParams& p) {
  cudnnPoolingDescriptor_t made = nullptr;
  CUDA_CHECK(cudnnCreatePoolingDescriptor(&made));
  PoolingDescriptor descriptor(made);
  CUDA_CHECK(cudnnSetPooling2dDescriptor(made, CUDNN_POOLING_MAX_DETERMINISTIC, CUDNN_PROPAGATE_NAN,
                                         static_cast<int>(p.kernelH), static_cast<int>(p.kernelW),
                                         static_cast<int>(p.padH), static_cast<int>(p.padW),
                                         static_cast<int>(p.strideH), static_cast<int>(p.strideW)),
             "kernel ", p.kernelH, " × ", p.kernelW, ", stride ", p.strideH, " × ", p.strideW, ", padding ",
             p.padH, " × ", p.padW);
  return descriptor;
}

/// [N,OH,OW,C] as cuDNN counts it.
inline Shape outputOf(const PoolingDescriptor& pooling, const TensorDescriptor& x) {
  int n = 0, c = 0, h = 0, w = 0;
  CUDA_CHECK(cudnnGetPooling2dForwardOutputDim(pooling.get(), x.get(), &n, &c, &h, &w));
  return {n, h, w, c};
}

}  // namespace nodecudnn
