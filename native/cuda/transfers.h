#pragma once
#include <array>
#include <cstdint>

#include "core/allocator.h"
#include "cuda/owned.h"

namespace nodecudnn {

/// Copies between host and device through pinned memory, on a stream of their own. As long as slots are free,
/// an upload waits neither for the computing that is in the stream nor for that memory which it writes: it
/// arrives in staging memory, and is put in its place in the order of the computing stream. A download waits
/// for what was computed before, and holds up the stream's thread, not JavaScript's.
class Transfers {
 public:
  Transfers(Allocator& allocator, cudaStream_t compute);
  ~Transfers();
  Transfers(const Transfers&) = delete;
  Transfers& operator=(const Transfers&) = delete;
  /// Returns when `host` has been read.
  void upload(void* device, const void* host, size_t bytes);
  /// Returns when `host` has been written.
  void download(void* host, const void* device, size_t bytes);

 private:
  template <class Body>
  void settledOnFailure(Body body);
  void copyUp(void* device, const void* host, size_t bytes);
  void copyDown(void* host, const void* device, size_t bytes);

  static constexpr size_t kSlots = 4;
  static constexpr size_t kSlotBytes = size_t{4} << 20;
  struct Slot {
    uint8_t *pinned, *staging;
    OwnedEvent copied;    // To or from `pinned`.
    OwnedEvent consumed;  // From `staging`.
  };

  const cudaStream_t compute_;
  OwnedStream copy_;
  Owned<void*, cudaFreeHost> pinned_;
  std::shared_ptr<Block> staging_;
  std::array<Slot, kSlots> slots_;
  size_t next_ = 0;
};

}  // namespace nodecudnn
