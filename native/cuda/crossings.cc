#include "cuda/crossings.h"

#include <algorithm>

#include "cuda/device_memory.h"

namespace nodecudnn {
namespace {

/// Lets a device read the memory of another; false where it cannot.
bool letReach(int device, int other) {
  int possible = 0;
  CUDA_CHECK(cudaDeviceCanAccessPeer(&possible, device, other));
  if (possible == 0) return false;
  cudaMemPool_t pool = nullptr;
  CUDA_CHECK(cudaDeviceGetDefaultMemPool(&pool, other));
  cudaMemAccessDesc access{};
  access.location.type = cudaMemLocationTypeDevice;
  access.location.id = device;
  access.flags = cudaMemAccessFlagsProtReadWrite;
  CUDA_CHECK(cudaMemPoolSetAccess(pool, &access, 1));
  return true;
}

}  // namespace

Point::Point(int device, cudaStream_t stream) : device(device), event_(DeviceMemory::of(device).takeEvent()) {
  CUDA_CHECK(cudaEventRecord(event_.get(), stream));
}

Point::~Point() {
  if (event_) DeviceMemory::of(device).keepEvent(std::move(event_));
}

bool Point::hasPassed() const {
  const cudaError_t status = cudaEventQuery(event_.get());
  if (status != cudaSuccess) cudaGetLastError();  // Or a later check of a launch finds it.
  return status != cudaErrorNotReady;
}

Crossings::Crossings(int device, Allocator& allocator, cudaStream_t compute)
    : device_(device), compute_(compute), copy_(makeStream()) {
  staging_ = allocator.allocate(kSlots * kSlotBytes, Use::Workspace);
  order(compute_, copy_.get());  // Only the computing stream knows of what was allocated.
  for (size_t i = 0; i < kSlots; ++i)
    slots_[i] = {nullptr, static_cast<uint8_t*>(staging_->data()) + i * kSlotBytes, makeEvent(), makeEvent()};
}

Crossings::~Crossings() {
  for (const auto& [device, peer] : peers_)
    if (peer.out) cudaStreamSynchronize(peer.out.get());
  cudaStreamSynchronize(copy_.get());
  release();
}

Crossings::Peer& Crossings::peerOf(int device) {
  const auto found = peers_.find(device);
  if (found != peers_.end()) return found->second;
  Peer peer{letReach(device_, device), nullptr, nullptr};
  if (!peer.isDirect) {
    pin();
    const CurrentDevice other(device);
    peer.out = makeStream();
    peer.left = makeEvent();
  }
  return peers_.emplace(device, std::move(peer)).first->second;
}

void Crossings::pin() {
  if (pinned_) return;
  void* pinned = nullptr;
  CUDA_CHECK(cudaHostAlloc(&pinned, kSlots * kSlotBytes, cudaHostAllocPortable));
  pinned_.reset(pinned);
  for (size_t i = 0; i < kSlots; ++i) slots_[i].pinned = static_cast<uint8_t*>(pinned) + i * kSlotBytes;
}

void Crossings::follow(const Point& point) {
  const Peer& peer = peerOf(point.device);
  CUDA_CHECK(cudaStreamWaitEvent(copy_.get(), point.event(), 0));
  if (peer.out) CUDA_CHECK(cudaStreamWaitEvent(peer.out.get(), point.event(), 0));
}

void Crossings::copy(int from, const std::shared_ptr<Block>& block, const void* source, void* target,
                     size_t bytes) {
  while (!held_.empty() && held_.front().read->hasPassed()) releaseFirst();
  const Peer& peer = peerOf(from);
  try {
    enqueue(from, peer, static_cast<const uint8_t*>(source), static_cast<uint8_t*>(target), bytes);
    hold(from, peer, block);
  } catch (...) {
    // Events may not tell of what is under way in a slot.
    if (peer.out) cudaStreamSynchronize(peer.out.get());
    cudaStreamSynchronize(copy_.get());
    cudaStreamSynchronize(compute_);
    try {
      hold(from, peer, block);
    } catch (const Error&) {
      // A device is lost: nothing reads from it, or to it, any more.
    }
    throw;
  }
}

void Crossings::enqueue(int from, const Peer& peer, const uint8_t* source, uint8_t* target, size_t bytes) {
  const cudaStream_t copy = copy_.get(), out = peer.out.get();
  for (size_t at = 0; at < bytes; at += kSlotBytes) {
    const size_t count = std::min(kSlotBytes, bytes - at);
    const Slot& slot = slots_[next_++ % kSlots];
    CUDA_CHECK(cudaStreamWaitEvent(copy, slot.consumed.get(), 0));
    if (peer.isDirect) {
      CUDA_CHECK(cudaMemcpyPeerAsync(slot.staging, device_, source + at, from, count, copy), count,
                 " bytes from cuda:", from);
    } else {
      CUDA_CHECK(cudaStreamWaitEvent(out, slot.arrived.get(), 0));
      CUDA_CHECK(cudaMemcpyAsync(slot.pinned, source + at, count, cudaMemcpyDeviceToHost, out), count,
                 " bytes from cuda:", from);
      CUDA_CHECK(cudaEventRecord(peer.left.get(), out));
      CUDA_CHECK(cudaStreamWaitEvent(copy, peer.left.get(), 0));
      CUDA_CHECK(cudaMemcpyAsync(slot.staging, slot.pinned, count, cudaMemcpyHostToDevice, copy));
    }
    CUDA_CHECK(cudaEventRecord(slot.arrived.get(), copy));
    CUDA_CHECK(cudaStreamWaitEvent(compute_, slot.arrived.get(), 0));
    CUDA_CHECK(cudaMemcpyAsync(target + at, slot.staging, count, cudaMemcpyDeviceToDevice, compute_));
    CUDA_CHECK(cudaEventRecord(slot.consumed.get(), compute_));
  }
}

void Crossings::hold(int from, const Peer& peer, const std::shared_ptr<Block>& block) {
  auto read = peer.isDirect ? std::make_unique<Point>(device_, copy_.get())
                            : std::make_unique<Point>(from, peer.out.get());
  held_.push_back({from, block, std::move(read)});
}

void Crossings::release() {
  while (!held_.empty()) releaseFirst();
}

void Crossings::releaseFirst() {
  DeviceMemory::of(held_.front().device).follow(held_.front().read->event());
  held_.pop_front();
}

}  // namespace nodecudnn
