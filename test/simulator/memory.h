#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

/// Device memory: addresses that the host cannot touch, and the same memory elsewhere, where work finds it.
namespace simulator {

/// How much of each stream, by its number, has happened before.
using Clock = std::vector<uint64_t>;

/// A piece of work's touching of a block, kept as long as a later one may conflict with it.
struct Access {
  /// Of a kernel only the run tells whether it wrote.
  enum class Mode { Unknown, Read, Write, Allocate, Free };
  Mode mode;
  uintptr_t begin, end;
  uint32_t stream;
  uint64_t index;  // In the stream.
  std::shared_ptr<const Clock> clock;
  std::shared_ptr<const std::string> what;
  bool ran = false;
};

struct Block {
  uintptr_t begin;
  size_t bytes;
  int device;            // kPinned: memory of the host's that devices read and write.
  bool freeing = false;  // The call that frees it was made,
  bool freed = false;    // and has run.
  std::string freedBy;
  std::vector<std::shared_ptr<Access>> accesses;

  uintptr_t end() const { return begin + bytes; }
};
constexpr int kPinned = -1;

bool isDeviceAddress(uintptr_t address);

/// What nobody wrote, and what was freed, is this byte: NaN as float or double, −1 as integer.
constexpr int kPoison = 0xff;

/// Null where that device has no more.
Block* allocateBlock(int device, size_t bytes);
/// Poisons its memory, or gives it to the system and lets nobody touch it; addresses are not used again.
void freeBlock(Block& block);
/// A device's memory is gone; how many blocks it had.
int loseBlocks(int device);
/// Of which the address is a part, live or freed; null where there is none.
Block* findBlock(const void* address);
/// Whether nothing was written before the block's beginning, nor behind its end.
bool isIntact(const Block& block);

Block* adoptPinned(void* data, size_t bytes);
void dropPinned(Block& block);

}  // namespace simulator
