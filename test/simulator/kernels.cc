// Our kernels, as work in streams.
#include "cuda/kernels.cu"

#include <cstring>

#include "simulator/devices.h"
#include "simulator/streams.h"

namespace nodecudnn {
namespace {

using simulator::Access;

/// The words of a functor that are addresses of devices: a functor is what its kernel's arguments are.
template <class Use>
void forEachAddress(std::vector<uint8_t>& functor, Use use) {
  for (size_t at = 0; at + sizeof(uintptr_t) <= functor.size(); at += sizeof(uintptr_t)) {
    uintptr_t word = 0;
    std::memcpy(&word, functor.data() + at, sizeof word);
    if (!simulator::isDeviceAddress(word)) continue;
    use(word);
    std::memcpy(functor.data() + at, &word, sizeof word);
  }
}

}  // namespace

void launchOnHost(cudaStream_t handle, int64_t n, const void* functor, size_t bytes,
                  void (*loop)(const void* functor, int64_t n)) {
  const simulator::Lock lock(simulator::mutex());
  simulator::Stream* const stream = simulator::findStream(handle, "a kernel");
  if (stream == nullptr || !simulator::isLaunched(stream->device)) return;
  if (!simulator::computes()) return;
  if (stream->device != simulator::currentDevice())
    return simulator::violation("a kernel: a stream of a device that is not the thread's");
  const auto* first = static_cast<const uint8_t*>(functor);
  std::vector<uint8_t> copy(first, first + bytes);
  std::vector<simulator::Touch> touches;
  forEachAddress(copy, [&](uintptr_t& word) {
    const auto* data = reinterpret_cast<const void*>(word);
    const simulator::Block* block = simulator::findBlock(data);
    touches.push_back(
        {data, block != nullptr ? block->end() - word : 1, Access::Mode::Unknown, stream->device});
  });
  simulator::put(*stream, "a kernel", touches, [copy = std::move(copy), loop, n]() mutable {
    forEachAddress(copy, [](uintptr_t& word) {
      word = reinterpret_cast<uintptr_t>(simulator::hostAddress(reinterpret_cast<const void*>(word)));
    });
    // The vector's memory is aligned for every type.
    loop(copy.data(), n);
  });
}

}  // namespace nodecudnn
