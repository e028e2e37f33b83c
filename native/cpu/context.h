#pragma once
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/plan_cache.h"

namespace nodecudnn {

/// The instruction sets that have kernels (forIsa) and rows in the table of implementations (conv2d_table.h).
enum class Isa { Baseline, Avx2, Avx512 };

/// A CPU device's state. Used by its stream thread only; a oneDNN primitive may not move between threads.
class Context {
 public:
  Context(Allocator& allocator, Choices& choices);

  /// At least `bytes` of memory that hold until the operation ends. Each call in an operation names another
  /// `slot`; the memory of a slot is kept for the next operation.
  void* workspace(int slot, size_t bytes);
  template <class T>
  T* workspace(int slot, int64_t count) {
    return static_cast<T*>(workspace(slot, static_cast<size_t>(count) * sizeof(T)));
  }

  const Isa isa;
  int threads;
  dnnl::engine engine;
  dnnl::stream stream;
  PlanCache plans;
  bool autotune = false;
  Choices& choices;
  /// From NODE_CUDNN_CONV2D: onednn, jit, blocked, im2col, windows or winograd computes every convolution
  /// that it supports. For tests; empty otherwise.
  const std::string forcedConv2d;
  /// Which implementation computed last, for traces; null once that was taken.
  const char* implementation = nullptr;
  std::vector<int64_t> marks;

 private:
  static constexpr int kSlots = 4;
  Allocator& allocator_;
  std::shared_ptr<Block> workspaces_[kSlots];
};

}  // namespace nodecudnn
