#pragma once
#include <array>
#include <cstdint>
#include <deque>
#include <map>

#include "core/allocator.h"
#include "core/backend.h"
#include "cuda/owned.h"

namespace nodecudnn {

/// An event of a device, recorded in a stream of it. It goes back to the device's memory, for the next point.
class Point {
 public:
  Point(int device, cudaStream_t stream);
  ~Point();
  Point(const Point&) = delete;
  Point& operator=(const Point&) = delete;
  cudaEvent_t event() const { return event_.get(); }
  bool hasPassed() const;

  const int device;

 private:
  OwnedEvent event_;
};

/// Copies from other devices to this one, on a stream of their own. They follow what has made their numbers
/// there, and neither hold up that device nor wait for what this one computes: they arrive in staging memory,
/// and are put in their place in the order of the computing stream. Where the one device cannot reach the
/// other, they go through pinned memory.
class Crossings {
 public:
  Crossings(int device, Allocator& allocator, cudaStream_t compute);
  ~Crossings();
  Crossings(const Crossings&) = delete;
  Crossings& operator=(const Crossings&) = delete;

  cudaStream_t stream() const { return copy_.get(); }
  void follow(const Point& point);
  /// `block` has the source.
  void copy(int from, const std::shared_ptr<Block>& block, const void* source, void* target, size_t bytes);
  /// Lets go of all sources: what was enqueued has completed.
  void release();

 private:
  struct Peer {
    bool isDirect;
    OwnedStream out;  // That device's, to pinned memory.
    OwnedEvent left;  // What is in it.
  };
  struct Slot {
    uint8_t *pinned, *staging;
    OwnedEvent arrived;   // In `staging`.
    OwnedEvent consumed;  // From there.
  };
  /// A source that is not given to others yet.
  struct Held {
    int device;
    std::shared_ptr<Block> block;
    std::unique_ptr<Point> read;
  };

  Peer& peerOf(int device);
  void pin();
  void enqueue(int from, const Peer& peer, const uint8_t* source, uint8_t* target, size_t bytes);
  void hold(int from, const Peer& peer, const std::shared_ptr<Block>& block);
  void releaseFirst();

  static constexpr size_t kSlots = 4;
  static constexpr size_t kSlotBytes = size_t{4} << 20;

  const int device_;
  const cudaStream_t compute_;
  OwnedStream copy_;
  Owned<void*, cudaFreeHost> pinned_;
  std::shared_ptr<Block> staging_;
  std::array<Slot, kSlots> slots_;
  size_t next_ = 0;
  std::map<int, Peer> peers_;
  std::deque<Held> held_;
};

}  // namespace nodecudnn
