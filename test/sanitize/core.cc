// The stream and the allocator with a backend that only counts, for the sanitizers: everything here is
// instrumented, and nothing of Node, oneDNN or OpenMP is in the process.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "core/backend.h"
#include "core/plan_cache.h"
#include "core/stream.h"

namespace nodecudnn {

class Context {};
void ContextDeleter::operator()(Context* context) const { delete context; }
size_t mark(Context&) { return 0; }
size_t markCopies(Context&) { return 0; }
std::vector<int64_t> takeMarks(Context&) { return {}; }
std::string takeImplementation(Context&) { return {}; }
ContextPtr makeContext(int, Allocator&, Choices&) {
  return ContextPtr(std::make_unique<Context>().release());
}
void finish(Context&) {}
std::shared_ptr<const Point> markPoint(Context&) { return nullptr; }
void follow(Context&, const Point&) {}
std::string deviceName(int device) { return concat("cpu:", device); }
void* allocateDeviceMemory(int, size_t bytes) { return std::malloc(bytes); }
void freeDeviceMemory(int, void* data, size_t) { std::free(data); }

namespace {

#define EXPECT(condition)                                                      \
  do {                                                                         \
    if (!(condition)) {                                                        \
      std::fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                            \
    }                                                                          \
  } while (false)

struct Device {
  std::shared_ptr<Allocator> allocator = std::make_shared<Allocator>(0);
  Stream stream{0, allocator, std::make_shared<Choices>()};
};

/// A number in a block, as an operation of the stream sees it.
struct Number {
  std::shared_ptr<Block> block;
  FatePtr fate = std::make_shared<Fate>();
  int* at() const { return static_cast<int*>(block->data()); }
};

Number make(Device& device, size_t bytes) {
  return {device.allocator->allocate(bytes), std::make_shared<Fate>()};
}

void set(Device& device, const Number& number, int value) {
  device.stream.push({"set", {}, {number.fate}, [at = number.at(), value](Context&) { *at = value; }});
}

void add(Device& device, const Number& a, const Number& b, const Number& sum) {
  device.stream.push(
      {"add", {a.fate, b.fate}, {sum.fate}, [a = a.at(), b = b.at(), sum = sum.at()](Context&) {
         *sum = *a + *b;
       }});
}

void fail(Device& device, const Number& number) {
  device.stream.push(
      {"fail", {}, {number.fate}, [](Context&) { throw Error(ErrorCode::Argument, "on purpose"); }});
}

/// Waits on the calling thread for all that is queued.
std::shared_ptr<const Failure> synchronize(Device& device) {
  const auto done = std::make_shared<Event>();  // Whoever passes it may still be in it when wait() returns.
  std::shared_ptr<const Failure> first;
  device.stream.synchronize([&first, done](std::shared_ptr<const Failure> failure) {
    first = std::move(failure);
    done->pass();
  });
  done->wait();
  return first;
}

/// What `to` does: the target's stream owns the source until it has read it.
void send(Device& from, const Number& source, Device& to, const Number& target) {
  to.stream.wait(from.stream.record());
  to.stream.push({"to", {source.fate}, {target.fate}, [block = source.block, target = target.at()](Context&) {
                    *target = *static_cast<int*>(block->data());
                  }});
}

/// Blocks are given away as soon as their last owner goes, while operations that use them still wait.
void reuse() {
  Device device;
  std::mt19937 random(1);
  const std::vector<size_t> sizes{4, 64, 100, 5000, size_t{3} << 20};
  Number total = make(device, 4);
  set(device, total, 0);
  for (int i = 0; i < 3000; ++i) {
    const size_t bytes = sizes[random() % sizes.size()];
    Number one = make(device, bytes), next = make(device, bytes);
    set(device, one, 1);
    add(device, total, one, next);
    total = next;
    if (i % 50 == 0) device.stream.emptyCache();
    if (i % 100 == 0) EXPECT(device.allocator->stats().liveBlocks == 2);
    if (i % 7 == 0) EXPECT(device.stream.queued() <= Stream::kMaxQueued);
  }
  EXPECT(synchronize(device) == nullptr);
  EXPECT(*total.at() == 3000);
}

void poison() {
  Device device;
  const Number a = make(device, 4), b = make(device, 4), c = make(device, 4);
  set(device, a, 1);
  fail(device, b);
  add(device, a, b, c);
  const auto failure = synchronize(device);
  EXPECT(failure != nullptr && failure->op == "fail");
  EXPECT(c.fate->failure() == failure && a.fate->failure() == nullptr);
  EXPECT(synchronize(device) == nullptr);
}

/// An update in place that is left out keeps its numbers, and is told of once.
void leaveOut() {
  Device device;
  const Number weight = make(device, 4), gradient = make(device, 4);
  set(device, weight, 7);
  fail(device, gradient);
  device.stream.push({"update",
                      {gradient.fate},
                      {weight.fate},
                      [at = weight.at()](Context&) { *at = 8; },
                      Stream::Operation::Kind::Update});
  const auto failure = synchronize(device);
  EXPECT(failure != nullptr && failure->op == "fail");
  EXPECT(weight.fate->failure() == nullptr && *weight.at() == 7);
  EXPECT(synchronize(device) == nullptr);
}

/// One that is refused too, and its gradient tells; one whose results are not finite has changed them.
void refuseUpdate() {
  Device device;
  for (const ErrorCode code : {ErrorCode::Cuda, ErrorCode::NotFinite}) {
    const Number weight = make(device, 4), gradient = make(device, 4);
    set(device, weight, 7);
    device.stream.push({"update",
                        {gradient.fate},
                        {weight.fate},
                        [code](Context&) { throw Error(code, "on purpose"); },
                        Stream::Operation::Kind::Update});
    const auto failure = synchronize(device);
    EXPECT(failure != nullptr && failure->op == "update");
    const bool isRefused = code != ErrorCode::NotFinite;
    EXPECT(weight.fate->failure() == (isRefused ? nullptr : failure) && *weight.at() == 7);
    EXPECT(gradient.fate->failure() == (isRefused ? failure : nullptr));
  }
}

void fullQueue() {
  Device device;
  const auto gate = std::make_shared<Event>();
  device.stream.wait(gate);
  int refused = 0;
  for (size_t i = 0; i <= Stream::kMaxQueued + 1; ++i) try {
      device.stream.push({"nothing", {}, {}, [](Context&) {}});
    } catch (const Error& error) {
      EXPECT(error.code() == ErrorCode::QueueFull);
      ++refused;
    }
  EXPECT(refused >= 1);
  gate->pass();
  EXPECT(synchronize(device) == nullptr);
}

void failedAllocation() {
  Device device;
  for (const Use use : {Use::Tensor, Use::Workspace}) {
    device.allocator->failAt(use, 2);
    const auto first = device.allocator->allocate(100, use);
    try {
      device.allocator->allocate(100, use);
      EXPECT(false);
    } catch (const Error& error) {
      EXPECT(error.code() == ErrorCode::OutOfMemory);
    }
    EXPECT(device.allocator->allocate(100, use)->bytes() >= 100);
  }
  const MemoryStats stats = device.allocator->stats();
  EXPECT(stats.liveBlocks == 0 && stats.liveBytes == 0 && stats.workspaceBytes == 0);
}

/// The least recently used plan goes first, and with it its memory.
void plans() {
  constexpr int64_t kCapacity = 256;
  PlanCache cache;
  std::vector<std::weak_ptr<int64_t>> made(kCapacity + 2);
  const auto get = [&](int64_t i) {
    return *cache.get<int64_t>({static_cast<int64_t>(PlanKind::Conv2d), i}, [&] {
      auto plan = std::make_shared<int64_t>(i);
      EXPECT(made[i].expired());
      made[i] = plan;
      return plan;
    });
  };
  for (int64_t i = 0; i < kCapacity; ++i) EXPECT(get(i) == i);
  EXPECT(get(0) == 0);  // Found, and now the last to go.
  EXPECT(get(kCapacity) == kCapacity);
  EXPECT(!made[0].expired() && made[1].expired() && !made[2].expired());
  EXPECT(get(1) == 1);
  EXPECT(!made[0].expired() && made[2].expired() && !made[3].expired());
  EXPECT(*cache.get<int64_t>({static_cast<int64_t>(PlanKind::Linear), 0},
                             [] { return std::make_shared<int64_t>(-1); }) == -1);
  cache.clear();
  for (const auto& plan : made) EXPECT(plan.expired());
}

/// Streams that send to each other in a ring end in the middle, as an environment's do: all are stopped
/// first.
void endInTheMiddle(int seed) {
  std::mt19937 random(seed);
  std::vector<std::unique_ptr<Device>> devices;
  for (int i = 0; i < 3; ++i) devices.push_back(std::make_unique<Device>());
  std::vector<Number> numbers;
  for (auto& device : devices) {
    numbers.push_back(make(*device, 4));
    set(*device, numbers.back(), seed);
  }
  const int rounds = static_cast<int>(random() % 200);
  for (int i = 0; i < rounds; ++i) {
    const size_t from = random() % 3, to = (from + 1 + random() % 2) % 3;
    Number arrived = make(*devices[to], 4);
    send(*devices[from], numbers[from], *devices[to], arrived);
    if (random() % 10 == 0) fail(*devices[to], arrived);
    numbers[to] = arrived;
  }
  if (random() % 2 == 0)
    for (auto& device : devices) synchronize(*device);
  // Answers that come after the end of the environment.
  const auto answers = std::make_shared<std::atomic<int>>(0);
  for (auto& device : devices)
    device->stream.synchronize([answers](std::shared_ptr<const Failure>) { ++*answers; });
  if (random() % 2 == 0) numbers.clear();
  for (auto& device : devices) device->stream.stop();
  for (auto& device : devices) device->stream.clear();
  devices.clear();
}

/// Plans are made once for each key; of more than 256 the least recently used goes.
void boundedPlans() {
  PlanCache cache;
  int made = 0;
  const auto get = [&](int64_t key) {
    return *cache.get<int64_t>({7, key}, [&] {
      ++made;
      return std::make_shared<int64_t>(key);
    });
  };
  for (int round = 0; round < 2; ++round)
    for (int64_t key = 0; key < 256; ++key) EXPECT(get(key) == key);
  EXPECT(made == 256);
  EXPECT(get(0) == 0 && get(256) == 256 && made == 257);  // 1 is the least recently used
  EXPECT(get(0) == 0 && get(2) == 2 && made == 257);
  EXPECT(get(1) == 1 && made == 258);
  const std::weak_ptr<int64_t> last = cache.get<int64_t>({8}, [] { return std::make_shared<int64_t>(8); });
  cache.clear();
  EXPECT(last.expired() && get(1) == 1 && made == 259);
}

}  // namespace
}  // namespace nodecudnn

int main() {
  using namespace nodecudnn;
  boundedPlans();
  reuse();
  poison();
  leaveOut();
  refuseUpdate();
  fullQueue();
  failedAllocation();
  plans();
  // Several environments at a time, each on a thread of its own.
  std::vector<std::thread> environments;
  for (int i = 0; i < 4; ++i)
    environments.emplace_back([i] {
      for (int round = 0; round < 100; ++round) endInTheMiddle(100 * i + round);
    });
  for (std::thread& environment : environments) environment.join();
  std::puts("core: no report");
}
