#pragma once
#include <memory>
#include <optional>

#include "core/backend.h"
#include "core/plan_cache.h"
#include "cuda/conv2d_graph.h"
#include "cuda/crossings.h"
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
  Crossings& crossings();
  /// Where kernels tell what they found wrong.
  Fault* fault();
  /// All that was enqueued has completed. Throws the first fault that kernels have told since the last call.
  void completed();

  /// At least `bytes` of memory that hold until the operation ends, which asks once. Kept for the next
  /// operation.
  void* workspace(size_t bytes);
  template <class T>
  T* workspace(int64_t count) {
    return static_cast<T*>(workspace(static_cast<size_t>(count) * sizeof(T)));
  }
  /// Of this device's stream.
  size_t mark(cudaStream_t stream);
  std::vector<int64_t> takeMarks();

  /// Gives back what has become larger than what is needed.
  void dropWorkspace() { workspace_.reset(); }

  const int device;
  /// lib/device.ts has the defaults.
  Conv2dMath math{};
  Choices& choices;

 private:
  void checkFault();

  Allocator& allocator_;
  OwnedStream stream_;
  std::shared_ptr<Block> workspace_, fault_, cublasWorkspace_;
  std::optional<Transfers> transfers_;
  std::optional<Crossings> crossings_;
  std::vector<OwnedEvent> marks_;
  OwnedCudnn cudnn_;
  OwnedCublas cublas_;

 public:
  // The last members: cuDNN's plans go before its handle.
  PlanCache plans;
  /// Which plan computed last, for traces; null once that was taken.
  std::shared_ptr<const Conv2dPlan> lastPlan;
};

}  // namespace nodecudnn
