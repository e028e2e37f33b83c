#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/allocator.h"
#include "core/choices.h"
#include "core/tensor.h"

/// What a backend supplies beside the operations of ops.h. A backend is a link target: there is exactly one
/// definition of each function in an addon.
namespace nodecudnn {

class Context;
struct ContextDeleter {
  void operator()(Context*) const;
};
using ContextPtr = std::unique_ptr<Context, ContextDeleter>;

/// Called on the device's stream thread, which is the only one that uses the context, and deletes it.
/// Workspace comes from the allocator, so that it is counted. Does not throw: what can fail is made at first
/// use, where it fails the operation that needs it.
ContextPtr makeContext(int device, Allocator& allocator, Choices& choices);

/// How many devices may be asked for.
int deviceCount();
/// As users name it, such as cpu:1.
std::string deviceName(int device);
/// Device memory, aligned for every operation of the backend. Null where there is none left.
void* allocateDeviceMemory(int device, size_t bytes);
void freeDeviceMemory(int device, void* data, size_t bytes);

/// Host memory to device memory and back; both have completed for the host's memory when they return.
void upload(Context&, void* device, const void* host, size_t bytes);
void download(Context&, void* host, const void* device, size_t bytes);
/// Waits until all that was enqueued has completed, and throws where some of it failed.
void finish(Context&);
/// Where a device is in its work when its stream's thread is here; null where it has done all of it.
class Point;
std::shared_ptr<const Point> markPoint(Context&);
/// The next copy from that point's device begins after it.
void follow(Context&, const Point&);
/// From another device of this backend, which this one follows. `block` has the source, and is owned until it
/// has been read.
void copyBetweenDevices(Context&, int from, const std::shared_ptr<Block>& block, const Tensor& source,
                        Tensor& target);

/// How the operations of this device compute from now on, such as `threads`. Throws for an option that it
/// does not have.
void setOption(Context&, const std::string& name, int64_t value);

/// For traces: marks a point in the order of the device's work, or of its copies from other devices. Returns
/// its number.
size_t mark(Context&);
size_t markCopies(Context&);
/// When the device reached each mark since the last call, in nanoseconds of std::chrono::steady_clock.
std::vector<int64_t> takeMarks(Context&);
/// Which implementation has computed since the last call; empty where there is only one.
std::string takeImplementation(Context&);

/// Takes what `choices` holds from now on for what autotune chose.
void forgetPlans(Context&);

/// Facts for `alexnet doctor`: name and value.
std::vector<std::pair<std::string, std::string>> describeBackend();

}  // namespace nodecudnn
