#pragma once
#include <cudnn.h>

#include <memory>
#include <string>

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
};

/// One convolution as cuDNN computes it on one kind of device.
class Conv2dPlan {
 public:
  Conv2dPlan(std::shared_ptr<cudnn_frontend::graph::Graph> graph, size_t workspaceBytes);
  size_t workspaceBytes() const { return workspaceBytes_; }
  /// cuDNN's name of the engine and its settings.
  std::string name() const;
  /// Forward: (x, w, bias or null, y). Data: (dy, w, null, dx). Filter: (x, dy, null, dw).
  void run(cudnnHandle_t handle, const float* a, const float* b, const float* bias, float* out,
           void* workspace) const;

 private:
  std::shared_ptr<cudnn_frontend::graph::Graph> graph_;
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

  /// The first that cuDNN's heuristics offer of those that compute in that way, with less workspace than
  /// kMaxWorkspaceBytes if there is one. Throws CudaError where there is none.
  std::shared_ptr<Conv2dPlan> plan(Conv2dPass pass, const Conv2dShape& shape, const Conv2dMath& math) const;

  static constexpr int64_t kMaxWorkspaceBytes = int64_t{512} << 20;

 private:
  cudnnHandle_t handle_ = nullptr;
  std::shared_ptr<const cudnn_frontend::DeviceProperties> properties_;
  int capability_ = 0;
};

}  // namespace nodecudnn
