#include "cuda/transfers.h"

#include <algorithm>
#include <cstring>

namespace nodecudnn {

Transfers::Transfers(Allocator& allocator, cudaStream_t compute) : compute_(compute), copy_(makeStream()) {
  void* pinned = nullptr;
  CUDA_CHECK(cudaHostAlloc(&pinned, kSlots * kSlotBytes, cudaHostAllocDefault));
  pinned_.reset(pinned);
  staging_ = allocator.allocate(kSlots * kSlotBytes, Use::Workspace);
  order(compute_, copy_.get());  // Only the computing stream knows of what was allocated.
  for (size_t i = 0; i < kSlots; ++i)
    slots_[i] = {static_cast<uint8_t*>(pinned) + i * kSlotBytes,
                 static_cast<uint8_t*>(staging_->data()) + i * kSlotBytes, makeEvent(), makeEvent()};
}

Transfers::~Transfers() { cudaStreamSynchronize(copy_.get()); }

/// After a failure events may not tell of what is under way in a slot.
template <class Body>
void Transfers::settledOnFailure(Body body) {
  try {
    body();
  } catch (...) {
    cudaStreamSynchronize(copy_.get());
    cudaStreamSynchronize(compute_);
    throw;
  }
}

void Transfers::upload(void* device, const void* host, size_t bytes) {
  settledOnFailure([&] { copyUp(device, host, bytes); });
}

void Transfers::download(void* host, const void* device, size_t bytes) {
  settledOnFailure([&] { copyDown(host, device, bytes); });
}

void Transfers::copyUp(void* device, const void* host, size_t bytes) {
  auto* to = static_cast<uint8_t*>(device);
  const auto* from = static_cast<const uint8_t*>(host);
  for (size_t at = 0; at < bytes; at += kSlotBytes) {
    const size_t count = std::min(kSlotBytes, bytes - at);
    const Slot& slot = slots_[next_++ % kSlots];
    CUDA_CHECK(cudaEventSynchronize(slot.copied.get()));
    std::memcpy(slot.pinned, from + at, count);
    CUDA_CHECK(cudaStreamWaitEvent(copy_.get(), slot.consumed.get(), 0));
    CUDA_CHECK(cudaMemcpyAsync(slot.staging, slot.pinned, count, cudaMemcpyHostToDevice, copy_.get()));
    CUDA_CHECK(cudaEventRecord(slot.copied.get(), copy_.get()));
    CUDA_CHECK(cudaStreamWaitEvent(compute_, slot.copied.get(), 0));
    CUDA_CHECK(cudaMemcpyAsync(to + at, slot.staging, count, cudaMemcpyDeviceToDevice, compute_));
    CUDA_CHECK(cudaEventRecord(slot.consumed.get(), compute_));
  }
}

void Transfers::copyDown(void* host, const void* device, size_t bytes) {
  auto* to = static_cast<uint8_t*>(host);
  const auto* from = static_cast<const uint8_t*>(device);
  order(compute_, copy_.get());
  size_t issued = 0;
  for (size_t taken = 0; taken < bytes; taken += kSlotBytes) {
    for (; issued < bytes && issued < taken + kSlots * kSlotBytes; issued += kSlotBytes) {
      const Slot& slot = slots_[issued / kSlotBytes % kSlots];
      const size_t count = std::min(kSlotBytes, bytes - issued);
      CUDA_CHECK(cudaMemcpyAsync(slot.pinned, from + issued, count, cudaMemcpyDeviceToHost, copy_.get()));
      CUDA_CHECK(cudaEventRecord(slot.copied.get(), copy_.get()));
    }
    const Slot& slot = slots_[taken / kSlotBytes % kSlots];
    CUDA_CHECK(cudaEventSynchronize(slot.copied.get()));
    std::memcpy(to + taken, slot.pinned, std::min(kSlotBytes, bytes - taken));
  }
}

}  // namespace nodecudnn
