#pragma once
#include <memory>
#include <optional>

#include "core/backend.h"
#include "core/plan_cache.h"
#include "cuda/conv2d_graph.h"
#include "cuda/kernels.cuh"
#include "cuda/libraries.h"
#include "cuda/transfers.h"

namespace nodecudnn {

/// A CUDA device's state. Used by its stream thread only. All is made at first use, so that what fails then
/// fails the operation that needs it.
class Context {
 public:
  Context(int device, Allocator& allocator, Choices& choices);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// Where everything computes. The thread's current device is this one from then on.
  cudaStream_t stream();
  cudnnHandle_t cudnn();
  cublasHandle_t cublas();
  Transfers& transfers();
  /// Where kernels tell what they found wrong.
  Fault* fault();
  /// Throws the first fault that completed kernels have told since the last call.
  void checkFault();

  /// At least `bytes` of memory that hold until the operation ends. Each call in an operation names another
  /// `slot`; the memory of a slot is kept for the next operation.
  void* workspace(int slot, size_t bytes);
  template <class T>
  T* workspace(int slot, int64_t count) {
    return static_cast<T*>(workspace(slot, static_cast<size_t>(count) * sizeof(T)));
  }

  const int device;
  /// As PyTorch's convolutions compute without being told otherwise.
  Conv2dMath math{true, false, false};
  PlanCache plans;
  Choices& choices;

 private:
  static constexpr int kSlots = 2;
  Allocator& allocator_;
  OwnedStream stream_;
  std::shared_ptr<Block> workspaces_[kSlots], fault_, cublasWorkspace_;
  std::optional<Transfers> transfers_;
  OwnedCudnn cudnn_;
  OwnedCublas cublas_;
};

}  // namespace nodecudnn
