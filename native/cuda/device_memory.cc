#include "cuda/device_memory.h"

#include <algorithm>
#include <map>

namespace nodecudnn {

DeviceMemory& DeviceMemory::of(int device) {
  static std::mutex mutex;
  // Never destroyed: at exit CUDA may be gone before what is static here.
  static auto* const all = std::make_unique<std::map<int, DeviceMemory>>().release();
  std::lock_guard<std::mutex> lock(mutex);
  return all->try_emplace(device, device).first->second;
}

cudaStream_t DeviceMemory::poolStream() {
  if (!pool_) pool_ = makeStream();
  return pool_.get();
}

void* DeviceMemory::allocate(size_t bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  const CurrentDevice current(device_);
  void* data = nullptr;
  const cudaError_t status = cudaMallocAsync(&data, std::max<size_t>(bytes, 1), poolStream());
  if (failed(status)) {
    dropUnused();
    const CallFailure failure = describeFailure(status);
    if (failure.outOfMemory) return nullptr;
    throw CudaError("cudaMallocAsync", failure, concat(bytes, " bytes"));
  }
  ++live_;
  try {
    for (cudaStream_t stream : joined_) order(poolStream(), stream);
  } catch (const Error&) {
    giveBack(data);
    throw;
  }
  return data;
}

void DeviceMemory::release(void* data) {
  std::lock_guard<std::mutex> lock(mutex_);
  giveBack(data);
  dropUnused();
}

void DeviceMemory::giveBack(void* data) {
  --live_;
  returned_.push_back(data);
  try {
    const CurrentDevice current(device_);
    for (cudaStream_t stream : joined_) order(stream, poolStream());
    for (; !returned_.empty(); returned_.pop_back())
      CUDA_CHECK(cudaFreeAsync(returned_.back(), poolStream()));
  } catch (const Error&) {
    // Tried again with the next. Of a lost device its memory is lost too: whoever reads from it is told.
  }
}

void DeviceMemory::dropUnused() {
  if (live_ > 0 || !joined_.empty()) return;
  pool_.reset();
  events_.clear();
}

void DeviceMemory::join(cudaStream_t stream) {
  std::lock_guard<std::mutex> lock(mutex_);
  const CurrentDevice current(device_);
  order(poolStream(), stream);
  joined_.push_back(stream);
}

void DeviceMemory::leave(cudaStream_t stream) {
  std::lock_guard<std::mutex> lock(mutex_);
  joined_.erase(std::remove(joined_.begin(), joined_.end(), stream), joined_.end());
  dropUnused();
}

void DeviceMemory::follow(cudaEvent_t event) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  for (cudaStream_t stream : joined_) cudaStreamWaitEvent(stream, event, 0);
  if (pool_) cudaStreamWaitEvent(pool_.get(), event, 0);
}

OwnedEvent DeviceMemory::takeEvent() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (events_.empty()) {
    const CurrentDevice current(device_);
    return makeEvent();
  }
  OwnedEvent event = std::move(events_.back());
  events_.pop_back();
  return event;
}

void DeviceMemory::keepEvent(OwnedEvent event) {
  std::lock_guard<std::mutex> lock(mutex_);
  events_.push_back(std::move(event));
  dropUnused();
}

}  // namespace nodecudnn
