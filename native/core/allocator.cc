#include "core/allocator.h"

#include <algorithm>

#include "core/backend.h"
#include "core/error.h"

namespace nodecudnn {
namespace {

constexpr size_t kLargeBytes = size_t{1} << 20;
/// More cached memory than this and the most that was ever in use is left over from other sizes.
constexpr size_t kIdleCacheBytes = size_t{256} << 20;

/// Size classes keep the number of distinct sizes small: powers of two up to 1 MiB, then multiples of 2 MiB.
size_t roundUp(size_t bytes) {
  if (Allocator::exact) return bytes;
  if (bytes > kLargeBytes) return (bytes + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment;
  size_t rounded = 64;
  while (rounded < bytes) rounded *= 2;
  return rounded;
}

/// A cached block serves a request if at least half of it is used.
bool fits(size_t blockBytes, size_t bytes) { return !Allocator::exact && blockBytes <= 2 * bytes; }

}  // namespace

Allocator::Block::Block(std::shared_ptr<Allocator> owner, void* data, size_t bytes, Use use)
    : owner_(std::move(owner)), data_(data), bytes_(bytes), use_(use) {}

Allocator::Block::~Block() { owner_->release(data_, bytes_, use_); }

Allocator::~Allocator() {
  takeCache();
  while (!taken_.empty()) freeTaken();
}

std::shared_ptr<Block> Allocator::allocate(size_t bytes, Use use, const std::function<void()>& freeCache) {
  std::unique_lock<std::mutex> lock(mutex_);
  size_t& untilFailure = untilFailure_[static_cast<int>(use)];
  const bool fails = untilFailure > 0 && --untilFailure == 0;
  size_t rounded = roundUp(bytes);
  void* data = nullptr;
  auto found = use == Use::Tensor ? cache_.lower_bound(rounded) : cache_.end();
  if (!fails && found != cache_.end() && fits(found->first, rounded)) {
    rounded = found->first;
    data = found->second;
    cache_.erase(found);
    stats_.cachedBytes -= rounded;
    ++stats_.hits;
  } else {
    if (!fails) data = allocateDeviceMemory(device_, rounded);
    if (!fails && data == nullptr && freeCache && stats_.cachedBytes >= rounded) {
      lock.unlock();
      freeCache();
      lock.lock();
      data = allocateDeviceMemory(device_, rounded);
    }
    if (data == nullptr)
      throw Error(ErrorCode::OutOfMemory,
                  concat("Expected ", bytes, " bytes of free memory on ", deviceName(device_), " but ",
                         stats_.liveBytes, " bytes are in use and no more could be had"));
    ++stats_.misses;
  }
  count(rounded, use, 1);
  stats_.peakLiveBytes = std::max(stats_.peakLiveBytes, stats_.liveBytes);
  stats_.peakBytes =
      std::max(stats_.peakBytes, stats_.liveBytes + stats_.workspaceBytes + stats_.cachedBytes);
  return std::make_shared<Block>(shared_from_this(), data, rounded, use);
}

void Allocator::count(size_t bytes, Use use, int sign) {
  (use == Use::Tensor ? stats_.liveBytes : stats_.workspaceBytes) += sign * bytes;
  if (use == Use::Tensor) stats_.liveBlocks += sign;
}

void Allocator::release(void* data, size_t bytes, Use use) {
  std::lock_guard<std::mutex> lock(mutex_);
  count(bytes, use, -1);
  if (use == Use::Workspace) return freeDeviceMemory(device_, data, bytes);
  stats_.cachedBytes += bytes;
  cache_.emplace(bytes, data);
}

void Allocator::takeCache() {
  std::lock_guard<std::mutex> lock(mutex_);
  taken_.push_back(std::move(cache_));
  cache_.clear();
  stats_.cachedBytes = 0;
}

void Allocator::freeTaken() {
  Cache blocks;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    blocks = std::move(taken_.front());
    taken_.pop_front();
  }
  for (const auto& [bytes, data] : blocks) freeDeviceMemory(device_, data, bytes);
}

bool Allocator::isIdle() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return stats_.cachedBytes > (exact ? 0 : kIdleCacheBytes + stats_.peakLiveBytes);
}

MemoryStats Allocator::stats() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return stats_;
}

void Allocator::failAt(Use use, size_t count) {
  std::lock_guard<std::mutex> lock(mutex_);
  untilFailure_[static_cast<int>(use)] = count;
}

}  // namespace nodecudnn
