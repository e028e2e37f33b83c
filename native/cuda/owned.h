#pragma once
#include <memory>
#include <type_traits>
#include <utility>

#include "cuda/error.h"

namespace nodecudnn {

template <auto kDestroy>
struct Destroy {
  template <class T>
  void operator()(T* handle) const {
    kDestroy(handle);
  }
};
/// A library's handle, destroyed with its owner.
template <class Handle, auto kDestroy>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<kDestroy>>;

using OwnedStream = Owned<cudaStream_t, cudaStreamDestroy>;
using OwnedEvent = Owned<cudaEvent_t, cudaEventDestroy>;

/// A stream of the current device.
inline OwnedStream makeStream() {
  cudaStream_t stream = nullptr;
  CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return OwnedStream(stream);
}

/// An event of the current device.
inline OwnedEvent makeEvent() {
  cudaEvent_t event = nullptr;
  CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return OwnedEvent(event);
}

/// One that tells the time, for cudaEventElapsedTime.
inline OwnedEvent makeTimingEvent() {
  cudaEvent_t event = nullptr;
  CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDefault));
  return OwnedEvent(event);
}

/// What is put into `later` from now on runs after what is in `earlier`, a stream of the current device.
inline void order(cudaStream_t earlier, cudaStream_t later) {
  const OwnedEvent event = makeEvent();
  CUDA_CHECK(cudaEventRecord(event.get(), earlier));
  CUDA_CHECK(cudaStreamWaitEvent(later, event.get(), 0));
}

/// Makes a device the thread's own.
inline void chooseDevice(int device) {
  const int before = std::exchange(chosenDevice, device);
  try {
    CUDA_CHECK(cudaSetDevice(device));
  } catch (...) {
    chosenDevice = before;
    throw;
  }
}

/// Makes a device the thread's current one while it lives. A thread that had none is left with this one:
/// going back to the first would make a context there.
class CurrentDevice {
 public:
  explicit CurrentDevice(int device) : before_(chosenDevice) { chooseDevice(device); }
  ~CurrentDevice() {
    if (before_ >= 0 && before_ != chosenDevice) cudaSetDevice(before_);
    chosenDevice = before_;
  }
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  const int before_;
};

}  // namespace nodecudnn
