#include "simulator/memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "simulator/devices.h"

namespace simulator {
namespace {

constexpr size_t kSpaceBytes = size_t{4} << 40;
constexpr size_t kPageBytes = 4096;
/// The alignment that cudaMallocAsync promises; no block has a better one.
constexpr size_t kAlignment = 256;
/// Between blocks, poisoned as well.
constexpr size_t kGapBytes = 256;
/// Larger ones are given to the system when they are freed.
constexpr size_t kKeptBytes = size_t{4} << 20;

[[noreturn]] void end(const char* what) {
  std::perror(what);
  std::abort();
}

struct sigaction actionBefore;
void onFault(int signal, siginfo_t* info, void*) {
  if (isDeviceAddress(reinterpret_cast<uintptr_t>(info->si_addr))) {
    constexpr char kText[] =
        "simulator: violation: the host touches device memory, which only work in a stream may\n";
    static_cast<void>(!write(STDERR_FILENO, kText, sizeof kText - 1));
  }
  sigaction(signal, &actionBefore, nullptr);  // The instruction runs again, and the signal comes again.
}

/// The addresses, twice: reserved without any access, and `alias` bytes further for those who compute.
struct Space {
  uintptr_t begin, cursor;
  uintptr_t alias;

  Space() {
    const int file = memfd_create("simulator", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, kSpaceBytes) != 0) end("simulator: memory for devices");
    const auto map = [](int protection, int flags, int fd) {
      void* const at = mmap(nullptr, kSpaceBytes, protection, flags | MAP_NORESERVE, fd, 0);
      if (at == MAP_FAILED) end("simulator: addresses for devices");
      return reinterpret_cast<uintptr_t>(at);
    };
    begin = cursor = map(PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    alias = map(PROT_READ | PROT_WRITE, MAP_SHARED, file) - begin;
    close(file);
    struct sigaction action{};
    action.sa_sigaction = onFault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, &actionBefore);
  }
};

Space& space() {
  static auto* const one = std::make_unique<Space>().release();
  return *one;
}

/// By their ends; freed ones too, so that a use of them can be told.
std::map<uintptr_t, Block>& blocks() {
  static auto* const all = std::make_unique<std::map<uintptr_t, Block>>().release();
  return *all;
}

std::map<int, size_t>& used() {
  static auto* const all = std::make_unique<std::map<int, size_t>>().release();
  return *all;
}

void* host(uintptr_t device) { return reinterpret_cast<void*>(device + space().alias); }

bool isPoison(uintptr_t begin, size_t bytes) {
  const auto* data = static_cast<const uint8_t*>(host(begin));
  return std::all_of(data, data + bytes, [](uint8_t byte) { return byte == kPoison; });
}

Block* add(uintptr_t begin, size_t bytes, int device) {
  Block& block = blocks()[begin + bytes];
  block = {};
  block.begin = begin;
  block.bytes = bytes;
  block.device = device;
  return &block;
}

}  // namespace

bool isDeviceAddress(uintptr_t address) {
  return address >= space().begin && address < space().begin + kSpaceBytes;
}

void* hostAddress(const void* device) {
  const auto address = reinterpret_cast<uintptr_t>(device);
  return isDeviceAddress(address) ? host(address) : const_cast<void*>(device);
}

Block* allocateBlock(int device, size_t bytes) {
  Space& all = space();
  // Aligned to kAlignment, and not to its double.
  const uintptr_t begin =
      (all.cursor + kGapBytes + 2 * kAlignment - 1) / (2 * kAlignment) * (2 * kAlignment) + kAlignment;
  const uintptr_t next = begin + bytes + kGapBytes;
  if (next > all.begin + kSpaceBytes || used()[device] + bytes > memoryOf(device)) return nullptr;
  used()[device] += bytes;
  all.cursor = next;
  std::memset(host(begin - kGapBytes), kPoison, next - (begin - kGapBytes));
  return add(begin, bytes, device);
}

void freeBlock(Block& block) {
  block.freed = true;
  block.accesses.clear();
  used()[block.device] -= block.bytes;
  if (block.bytes <= kKeptBytes) {
    std::memset(host(block.begin), kPoison, block.bytes);
    return;
  }
  const uintptr_t first = (block.begin + kPageBytes - 1) / kPageBytes * kPageBytes;
  const size_t bytes = block.end() / kPageBytes * kPageBytes - first;
  if (madvise(host(first), bytes, MADV_REMOVE) != 0 || mprotect(host(first), bytes, PROT_NONE) != 0)
    end("simulator: giving memory back");
}

int loseBlocks(int device) {
  int lost = 0;
  for (auto& [end, block] : blocks()) {
    if (block.device != device || block.freed) continue;
    lost += block.freeing ? 0 : 1;
    block.freeing = true;
    block.freedBy = "the loss of its device";
    freeBlock(block);
  }
  return lost;
}

Block* findBlock(const void* address) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  const auto found = blocks().upper_bound(at);
  return found != blocks().end() && found->second.begin <= at ? &found->second : nullptr;
}

bool isIntact(const Block& block) {
  return isPoison(block.begin - kGapBytes, kGapBytes) && isPoison(block.end(), kGapBytes);
}

Block* adoptPinned(void* data, size_t bytes) {
  return add(reinterpret_cast<uintptr_t>(data), bytes, kPinned);
}

void dropPinned(Block& block) { blocks().erase(block.end()); }

}  // namespace simulator
