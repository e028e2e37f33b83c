// stand_ins: breaks the rules of the stand-ins for cuBLAS and cuDNN one after the other. Each line of the
// output is a rule, and what was told of it, or nothing. With the argument `leak` it leaves one of each kind.
#include <iostream>

#include "cuda/descriptors.h"
#include "cuda/libraries.h"
#include "simulator/devices.h"

namespace nodecudnn {
namespace {

constexpr int64_t kRows = 3, kColumns = 5, kInner = 4;
constexpr size_t kBytes = 4096;

float* allocate(cudaStream_t stream) {
  void* data = nullptr;
  CUDA_CHECK(cudaMallocAsync(&data, kBytes, stream));
  return static_cast<float*>(data);
}

/// Handles of device 0, memory that its stream knows of, and a stream of device 1.
struct Scene {
  OwnedStream stream = makeStream();
  float* data = allocate(stream.get());
  float* workspace = allocate(stream.get());
  OwnedCublas cublas;
  OwnedCudnn cudnn = makeCudnn(stream.get());
  PoolingDescriptor pooling = describe(MaxPool2dParams{2, 2, 2, 2, 0, 0});
  OwnedStream other;

  Scene() {
    cublasHandle_t handle = nullptr;
    CUDA_CHECK(cublasCreate(&handle));
    cublas.reset(handle);
    CUDA_CHECK(cublasSetStream(handle, stream.get()));
    CUDA_CHECK(cudaMemsetAsync(data, 0, kBytes, stream.get()));
    const CurrentDevice second(1);
    other = makeStream();
  }
  ~Scene() {
    cudaStreamSynchronize(stream.get());
    for (float* memory : {data, workspace}) cudaFreeAsync(memory, stream.get());
    cudaStreamSynchronize(stream.get());
  }

  /// [kRows, kColumns] = a · b by columns, a is [kRows, kInner].
  void multiply(int64_t lda, int64_t ldb, int64_t ldc, cublasHandle_t handle) const {
    const float one = 1, zero = 0;
    cublasSgemm_64(handle, CUBLAS_OP_N, CUBLAS_OP_N, kRows, kColumns, kInner, &one, data, lda, data + 64, ldb,
                   &zero, data + 128, ldc);
  }
  void multiply(int64_t lda = kRows, int64_t ldb = kInner, int64_t ldc = kRows) const {
    multiply(lda, ldb, ldc, cublas.get());
  }
  void pool(cudnnHandle_t handle, cudnnTensorDescriptor_t x, cudnnTensorDescriptor_t y) const {
    const float one = 1, zero = 0;
    cudnnPoolingForward(handle, pooling.get(), &one, x, data, &zero, y, data + 512);
  }
};

template <class Run>
void rule(const char* name, Run run) {
  const size_t before = simulator::violations().size();
  {
    Scene scene;
    run(scene);
  }
  const auto& told = simulator::violations();
  std::cout << name << '\t' << (told.size() > before ? told[before] : "") << '\n';
}

void breakRules() {
  const auto x = [] { return describeNhwc(1, 4, 4, 3); };
  const auto y = [] { return describeNhwc(1, 2, 2, 3); };
  rule("nothing", [&](Scene& s) {
    s.multiply();
    s.pool(s.cudnn.get(), x().get(), y().get());
  });
  rule("lda", [](Scene& s) { s.multiply(kRows - 1); });
  rule("ldb", [](Scene& s) { s.multiply(kRows, kInner - 1); });
  rule("ldc", [](Scene& s) { s.multiply(kRows, kInner, kRows - 1); });
  rule("a leading dimension beyond the memory", [](Scene& s) { s.multiply(kRows, kInner, kBytes); });
  rule("math of TF32", [](Scene& s) {
    cublasSetMathMode(s.cublas.get(), CUBLAS_TF32_TENSOR_OP_MATH);
    s.multiply();
  });
  rule("cuBLAS's handle that was destroyed", [](Scene& s) {
    cublasHandle_t gone = s.cublas.get();
    s.cublas.reset();
    s.multiply(kRows, kInner, kRows, gone);
  });
  rule("cuBLAS's handle on another device's thread", [](Scene& s) {
    const CurrentDevice second(1);
    s.multiply();
  });
  rule("cuBLAS on another device's stream", [](Scene& s) { cublasSetStream(s.cublas.get(), s.other.get()); });
  rule("workspace of cuBLAS's that is not aligned",
       [](Scene& s) { cublasSetWorkspace(s.cublas.get(), s.workspace + 1, kBytes - 4); });
  rule("workspace of cuBLAS's beyond its block", [](Scene& s) {
    cublasSetWorkspace(s.cublas.get(), s.workspace, kBytes + 1);
    s.multiply();
  });
  rule("workspace of cuBLAS's that is used elsewhere", [](Scene& s) {
    cublasSetWorkspace(s.cublas.get(), s.workspace, kBytes);
    const OwnedStream second = makeStream();
    order(s.stream.get(), second.get());
    s.multiply();
    CUDA_CHECK(cudaMemsetAsync(s.workspace, 0, kBytes, second.get()));
    order(second.get(), s.stream.get());
  });
  rule("cuDNN's handle that was destroyed", [&](Scene& s) {
    cudnnHandle_t gone = s.cudnn.get();
    s.cudnn.reset();
    s.pool(gone, x().get(), y().get());
  });
  rule("cuDNN's handle on another device's thread", [&](Scene& s) {
    const CurrentDevice second(1);
    s.pool(s.cudnn.get(), x().get(), y().get());
  });
  rule("cuDNN on another device's stream", [](Scene& s) { cudnnSetStream(s.cudnn.get(), s.other.get()); });
  rule("a descriptor that was destroyed", [&](Scene& s) {
    const TensorDescriptor input = x();
    cudnnTensorDescriptor_t gone = y().get();
    s.pool(s.cudnn.get(), input.get(), gone);
  });
  rule("a descriptor that was not set", [&](Scene& s) {
    cudnnTensorDescriptor_t unset = nullptr;
    CUDA_CHECK(cudnnCreateTensorDescriptor(&unset));
    const TensorDescriptor owned(unset);
    s.pool(s.cudnn.get(), x().get(), unset);
  });
  rule("an output of another shape", [&](Scene& s) { s.pool(s.cudnn.get(), x().get(), x().get()); });
  rule("another layout", [&](Scene&) {
    const TensorDescriptor made = x();
    cudnnSetTensor4dDescriptor(made.get(), CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 1, 3, 4, 4);
  });
  rule("pooling that differs from run to run", [&](Scene&) {
    const PoolingDescriptor made = describe(MaxPool2dParams{2, 2, 2, 2, 0, 0});
    cudnnSetPooling2dDescriptor(made.get(), CUDNN_POOLING_MAX, CUDNN_PROPAGATE_NAN, 2, 2, 0, 0, 2, 2);
  });
}

void leak() {
  const OwnedStream stream = makeStream();
  makeCudnn(stream.get()).release();
  describeNhwc(1, 4, 4, 3).release();
  cublasHandle_t handle = nullptr;
  CUDA_CHECK(cublasCreate(&handle));
  cudnnBackendDescriptor_t descriptor = nullptr;
  CUDA_CHECK(cudnnBackendCreateDescriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR, &descriptor));
}

}  // namespace
}  // namespace nodecudnn

int main(int argc, char**) {
  nodecudnn::chooseDevice(0);
  if (argc > 1)
    nodecudnn::leak();
  else
    nodecudnn::breakRules();
}
