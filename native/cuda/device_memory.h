#pragma once
#include <mutex>
#include <vector>

#include "cuda/owned.h"

namespace nodecudnn {

/// One device's memory, and the streams that compute there: one of each environment. Any thread may use it.
///
/// Invariant: later work of every joined stream may use what `allocate` gave; what `release` took is given
/// again, or back to the system, only after the earlier work of all of them.
class DeviceMemory {
 public:
  static DeviceMemory& of(int device);

  explicit DeviceMemory(int device) : device_(device) {}
  /// Null where there is none left.
  void* allocate(size_t bytes);
  void release(void* data);

  void join(cudaStream_t stream);
  void leave(cudaStream_t stream);
  /// Later work of every joined stream, and what frees memory, comes after that event, of any device.
  void follow(cudaEvent_t event) noexcept;

  /// An event of this device, to be kept for the next who needs one.
  OwnedEvent takeEvent();
  void keepEvent(OwnedEvent event);

 private:
  cudaStream_t poolStream();
  void giveBack(void* data);
  void dropUnused();

  const int device_;
  std::mutex mutex_;
  OwnedStream pool_;             // Only allocates and frees; there while somebody needs it.
  size_t live_ = 0;              // What was allocated and not released.
  std::vector<void*> returned_;  // Not freed yet.
  std::vector<cudaStream_t> joined_;
  std::vector<OwnedEvent> events_;
};

}  // namespace nodecudnn
