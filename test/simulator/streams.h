#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "simulator/memory.h"
#include "simulator/simulator.h"

/// Streams, events, and what orders work. All under the mutex.
///
/// Not found: that a kernel writes what is there already (it then counts as one that reads), or in a block of
/// more than 256 KiB a few bytes only.
namespace simulator {

struct Stream;

/// A point in a stream: the work that was in it.
struct Point {
  Stream* stream = nullptr;
  uint64_t index = 0;
  std::shared_ptr<const Clock> clock;
};

/// What stands in a stream: work, or the waiting for a point of another.
struct Item {
  std::shared_ptr<const std::string> what;
  std::vector<std::pair<Block*, std::shared_ptr<Access>>> accesses;
  std::function<void()> work;
  Point waitsFor;
};

struct Stream {
  uint32_t number;
  int device;
  bool destroyed = false;
  std::deque<Item> items;
  uint64_t issued = 0, done = 0;
  Clock clock;
};

struct Event {
  int device;
  bool timed;
  bool destroyed = false;
  Point recorded;  // No stream: never.
};

Stream* createStream(int device);
/// The stream of that handle; null is the current device's own. Null for none that lives, which is a
/// violation.
Stream* findStream(cudaStream_t stream, const char* call);
Event* createEvent(int device, bool timed);
Event* findEvent(cudaEvent_t event, const char* call);

Point pointOf(const Stream& stream);
bool hasPassed(const Point& point);
void waitFor(Stream& stream, const Point& point);
/// Runs what is needed for it, and may run more; what comes later is then ordered behind it.
void synchronize(const Point& point);
/// Work of that name runs when nothing else can; for as long as there is one, `ran` tells what did, in order.
/// Empty: none.
void holdBack(const std::string& name);
std::vector<std::string>& ran();
/// Of a lost device.
void dropWork(int device);

/// A piece of a block as work touches it; `device` is whose it has to be.
struct Touch {
  const void* data;
  size_t bytes;
  Access::Mode mode;
  int device;
};
/// False where a violation was told: the work will not run.
bool put(Stream& stream, const std::string& what, const std::vector<Touch>& touches,
         std::function<void()> work);
/// Whether work that has not run yet touches that piece.
bool isPending(const void* data, size_t bytes);

uint64_t checksum(const void* data, size_t bytes);

}  // namespace simulator
