#pragma once
#include <cudnn.h>

#include <memory>
#include <string>
#include <vector>

#include "core/conv2d_shape.h"

namespace cudnn_frontend {
class DeviceProperties;
namespace graph {
class Graph;
}
}  // namespace cudnn_frontend

namespace nodecudnn {

/// How convolutions may compute.
struct Conv2dMath {
  /// Products of numbers that are rounded to ten bits, on devices whose tensor cores do so. Without it,
  /// algorithms that lose digits otherwise (Winograd's, by FFT) are avoided as well.
  bool tf32;
  /// Equal inputs give equal bits.
  bool deterministic;
  /// Of several plans the fastest on the real shapes, rather than the first that the heuristics offer.
  bool autotune;
};

/// What a convolution reads and writes. Forward: (x, w, bias or null, y). Data: (dy, w, null, dx). Filter:
/// (x, dy, null, dw).
struct Conv2dOperands {
  const float *a, *b, *bias;
  float* out;
};

/// One convolution as cuDNN computes it on one kind of device.
class Conv2dPlan {
 public:
  /// `what` it computes is for the messages of errors. Throws CudaError, as the others do.
  Conv2dPlan(std::shared_ptr<cudnn_frontend::graph::Graph> graph, int64_t index, std::string what);
  size_t workspaceBytes() const { return workspaceBytes_; }
  /// cuDNN's name of the engine and its settings.
  std::string name() const;
  void run(cudnnHandle_t handle, const Conv2dOperands& operands, void* workspace) const;

 private:
  std::shared_ptr<cudnn_frontend::graph::Graph> graph_;
  int64_t index_;  // In the graph's list.
  std::string what_;
  size_t workspaceBytes_;
};

/// Has cuDNN plan convolutions, as graphs of NHWC activations and KRSC filters.
class Conv2dPlanner {
 public:
  /// For the handle's device.
  explicit Conv2dPlanner(cudnnHandle_t handle) : handle_(handle) {}
  /// For a device that is not here, by its properties as JSON and its compute capability, such as 90. Such
  /// plans cannot run.
  Conv2dPlanner(const std::string& properties, int capability);

  /// The first `count` at most that cuDNN's heuristics offer of those that compute in that way; those that
  /// need more workspace than kMaxWorkspaceBytes only where there are no others. Throws CudaError where there
  /// is none.
  std::vector<std::shared_ptr<Conv2dPlan>> plans(Conv2dPass pass, const Conv2dShape& shape,
                                                 const Conv2dMath& math, size_t count) const;
  /// That of them which has this name; null where none has.
  std::shared_ptr<Conv2dPlan> named(const std::string& name, Conv2dPass pass, const Conv2dShape& shape,
                                    const Conv2dMath& math) const;

  /// Why plans that were offered were not taken, in cudnn-frontend's words; those that math and workspace
  /// exclude are among them.
  const std::vector<std::string>& refusals() const { return refusals_; }

  static constexpr int64_t kMaxWorkspaceBytes = int64_t{512} << 20;

 private:
  std::vector<std::shared_ptr<Conv2dPlan>> search(Conv2dPass pass, const Conv2dShape& shape,
                                                  const Conv2dMath& math, size_t count,
                                                  const std::string* name) const;

  cudnnHandle_t handle_ = nullptr;
  std::shared_ptr<const cudnn_frontend::DeviceProperties> properties_;
  int capability_ = 0;
  mutable std::vector<std::string> refusals_;
};

}  // namespace nodecudnn
