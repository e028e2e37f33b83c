#pragma once
#include <cudnn.h>

#include <map>
#include <optional>
#include <set>

#include "simulator/convolution.h"

/// What an operation graph of cuDNN's computes.
namespace simulator {

/// A float32 tensor. Virtual ones are in no memory of the caller's.
struct GraphTensor {
  Layout layout;
  int64_t alignment;
  bool isVirtual;
};

/// Tensors are named by their unique ids.
struct Operation {
  cudnnBackendDescriptorType_t type;
  /// Convolutions: image, filter and response, or their gradients. Pointwise: y = f(alpha · x, beta · w).
  int64_t x, w, y;
  /// Of convolutions: output = alpha · convolution + beta · output.
  double alpha, beta;
  Convolution convolution;
  cudnnPointwiseMode_t mode;
  bool hasSecond;
  /// Of ReLU.
  double lowerClip, upperClip, lowerSlope;
  bool propagatesNan;

  int64_t output() const;
  std::vector<int64_t> inputs() const;
};

struct OperationGraph {
  /// None where the graph was built without a handle.
  std::optional<int> device;
  std::vector<Operation> operations;
  std::map<int64_t, GraphTensor> tensors;

  /// The ids of what is in memory.
  std::set<int64_t> external() const;
  std::set<int64_t> written() const;
  /// What is read of memory, also what is written and has a beta.
  std::set<int64_t> read() const;
};

/// Computes a graph in the host's memory. With `tf32` the factors of convolutions are rounded to it.
void compute(const OperationGraph& graph, bool tf32, const std::map<int64_t, float*>& memory);

}  // namespace simulator
