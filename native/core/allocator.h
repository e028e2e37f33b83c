#pragma once
#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

namespace nodecudnn {

constexpr size_t kBlockAlignment = size_t{2} << 20;

/// Bytes and blocks in use, by whose they are; the peak is of everything together.
struct MemoryStats {
  size_t liveBytes = 0, peakLiveBytes = 0, liveBlocks = 0;
  size_t workspaceBytes = 0, cachedBytes = 0, peakBytes = 0;
  size_t hits = 0, misses = 0;
};

/// What a block is for: a tensor or saved state of the caller's, or a backend's workspace. Workspace is asked
/// for while the stream runs, when cached blocks may still be needed by operations that wait: it never comes
/// from the cache.
enum class Use { Tensor, Workspace };

/// Caches freed blocks of one device by size.
///
/// Invariant (stream order): a block handed out here may still be used by operations that are already in its
/// device's queue. Whoever receives it may touch it only from an operation enqueued later on the same stream.
/// Another stream that reads a block therefore owns it (`std::shared_ptr<Block>`) until it has done so.
class Allocator : public std::enable_shared_from_this<Allocator> {
 public:
  class Block {
   public:
    Block(std::shared_ptr<Allocator> owner, void* data, size_t bytes, Use use);
    ~Block();
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    void* data() const { return data_; }
    size_t bytes() const { return bytes_; }

   private:
    std::shared_ptr<Allocator> owner_;
    void* data_;
    size_t bytes_;
    Use use_;
  };

  explicit Allocator(int device) : device_(device) {}
  ~Allocator();

  /// Throws Error(OutOfMemory). Where the device has no more and so much is cached, `freeCache` is to free it
  /// before it returns.
  std::shared_ptr<Block> allocate(size_t bytes, Use use = Use::Tensor,
                                  const std::function<void()>& freeCache = nullptr);
  /// Sets all cached blocks aside, so that they are given to nobody. Queued operations may still use them.
  void takeCache();
  /// Frees what the earliest takeCache() that was not followed yet had set aside: in the stream's order.
  void freeTaken();
  /// Whether so much is cached that it should be given back.
  bool isIdle() const;
  MemoryStats stats() const;

  /// Each block is as large as was asked for, used once, and given back before the next is asked for: what
  /// watches memory sees what reaches past its end, or comes after it was freed. On under AddressSanitizer;
  /// the tests' simulator turns it on.
  static inline std::atomic<bool> exact =
#if defined(__SANITIZE_ADDRESS__)
      true;
#else
      false;
#endif

  /// For tests: the `count`-th allocation for that use from now on fails; 0: none does.
  void failAt(Use use, size_t count);

 private:
  using Cache = std::multimap<size_t, void*>;
  void release(void* data, size_t bytes, Use use);
  void count(size_t bytes, Use use, int sign);

  const int device_;
  mutable std::mutex mutex_;
  Cache cache_;
  std::deque<Cache> taken_;
  MemoryStats stats_;
  size_t untilFailure_[2] = {0, 0};  // By use.
};

using Block = Allocator::Block;

}  // namespace nodecudnn
