#include "simulator/streams.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <sstream>

#include "simulator/devices.h"

namespace simulator {
namespace {

using Mode = Access::Mode;

/// Never destroyed, so that the use of a destroyed stream or event can be told.
struct State {
  std::vector<std::unique_ptr<Stream>> streams;
  std::set<const Stream*> knownStreams;
  std::vector<std::unique_ptr<Event>> events;
  std::set<const Event*> knownEvents;
  std::vector<Stream*> ownStreams;  // By device.
  std::string heldBack;
  std::vector<std::string> ran;
};
State& state() {
  static auto* const one = std::make_unique<State>().release();
  return *one;
}

/// What this thread has waited for. It orders what the thread puts later, and nothing that others put: the
/// backend's threads order their work by events.
thread_local Clock waitedFor;

uint64_t at(const Clock& clock, uint32_t stream) { return stream < clock.size() ? clock[stream] : 0; }
void join(Clock& clock, const Clock& other) {
  if (clock.size() < other.size()) clock.resize(other.size());
  for (size_t i = 0; i < other.size(); ++i) clock[i] = std::max(clock[i], other[i]);
}
void advance(Stream& stream) {
  join(stream.clock, waitedFor);
  if (stream.clock.size() <= stream.number) stream.clock.resize(stream.number + 1);
  stream.clock[stream.number] = ++stream.issued;
}

/// Whether the first has run when the second begins, in every order of the streams.
bool isBefore(const Access& first, const Access& second) {
  return at(*second.clock, first.stream) >= first.index;
}

bool overlap(const Access& a, const Access& b) { return a.begin < b.end && b.begin < a.end; }
bool writes(Mode mode) { return mode == Mode::Write || mode == Mode::Allocate || mode == Mode::Free; }
bool ownership(Mode mode) { return mode == Mode::Allocate || mode == Mode::Free; }
/// As far as it is known: what a kernel does is known when it has run.
bool conflict(Mode a, Mode b) {
  if (ownership(a) || ownership(b)) return true;
  if (a == Mode::Unknown || b == Mode::Unknown) return false;
  return writes(a) || writes(b);
}

std::string nameOf(const Access& access) {
  std::ostringstream out;
  out << *access.what << " (stream " << access.stream << ")";
  return out.str();
}

std::string describeRace(const Access& earlier, const Access& later) {
  for (const auto& [own, other] : {std::pair(&earlier, &later), std::pair(&later, &earlier)}) {
    if (own->mode == Mode::Allocate)
      return "allocation race: " + nameOf(*other) + " uses memory of " + nameOf(*own) +
             ", and nothing orders it behind the allocation";
    if (own->mode == Mode::Free)
      return "free race: " + nameOf(*own) + " while " + nameOf(*other) +
             " uses it: nothing orders the one behind the other";
  }
  return "race: " + nameOf(earlier) + " and " + nameOf(later) +
         " touch the same memory, one writes, and nothing orders them";
}

/// False and a violation where another access is in no order with this one.
bool checkRaces(const Block& block, const Access& access) {
  for (const auto& other : block.accesses) {
    if (other.get() == &access || !overlap(*other, access) || !conflict(other->mode, access.mode)) continue;
    if (isBefore(*other, access) || isBefore(access, *other)) continue;
    // What a lost device did is over.
    if (isLost(state().streams[other->stream]->device)) continue;
    violation(describeRace(*other, access));
    return false;
  }
  return true;
}

/// Forgets what no later access can be in conflict with that is in none with this one, which has run.
void forgetBefore(Block& block, const Access& access) {
  const bool isRead = access.mode == Mode::Read;
  block.accesses.erase(
      std::remove_if(block.accesses.begin(), block.accesses.end(),
                     [&](const auto& other) {
                       return other.get() != &access && other->ran && other->begin >= access.begin &&
                              other->end <= access.end && isBefore(*other, access) &&
                              (!isRead || (other->mode == Mode::Read && other->stream == access.stream));
                     }),
      block.accesses.end());
}

std::string describe(const Touch& touch) {
  std::ostringstream out;
  out << touch.bytes << " bytes at " << touch.data;
  return out.str();
}

std::string ownerOf(int device) {
  return device == kPinned ? "pinned memory" : "memory of device " + std::to_string(device);
}

/// The block that is touched; null and a violation where that is wrong.
Block* check(const std::string& what, const Touch& touch) {
  Block* const block = findBlock(touch.data);
  if (block == nullptr) {
    violation(what + ": no " + ownerOf(touch.device) + ": " + describe(touch));
    return nullptr;
  }
  if (block->freeing) {
    violation("use after free: " + what + " uses " + describe(touch) + ", freed by " + block->freedBy);
    return nullptr;
  }
  if (block->device != touch.device) {
    violation(what + ": " + ownerOf(block->device) + ", not " + ownerOf(touch.device) + ": " +
              describe(touch));
    return nullptr;
  }
  if (reinterpret_cast<uintptr_t>(touch.data) + touch.bytes > block->end()) {
    violation("out of range: " + what + " reaches beyond its block of " + std::to_string(block->bytes) +
              " bytes: " + describe(touch) + ", of which " +
              std::to_string(block->end() - reinterpret_cast<uintptr_t>(touch.data)) + " are left");
    return nullptr;
  }
  return block;
}

bool isRunnable(const Stream& stream) {
  return !stream.items.empty() && hasPassed(stream.items.front().waitsFor);
}

void runFirst(Stream& stream) {
  const Item item = std::move(stream.items.front());
  stream.items.pop_front();
  ++stream.done;
  if (!item.work) return;
  if (!state().heldBack.empty()) state().ran.push_back(*item.what);
  std::vector<uint64_t> sums;
  for (const auto& [block, access] : item.accesses) {
    if (block->freed) {
      if (isLost(block->device)) return;
      violation("use after free: " + nameOf(*access) + " runs after its memory was freed by " +
                block->freedBy);
      return;
    }
    const void* const data = onHost(reinterpret_cast<const void*>(access->begin));
    sums.push_back(access->mode == Mode::Unknown ? checksum(data, access->end - access->begin) : 0);
  }
  item.work();
  for (size_t i = 0; i < item.accesses.size(); ++i) {
    const auto& [block, access] = item.accesses[i];
    access->ran = true;
    if (block->freed) continue;
    if (access->mode == Mode::Unknown) {
      const void* const data = onHost(reinterpret_cast<const void*>(access->begin));
      access->mode = checksum(data, access->end - access->begin) == sums[i] ? Mode::Read : Mode::Write;
      checkRaces(*block, *access);
    }
    if (block->device != kPinned && !isIntact(*block))
      violation("out of range: " + nameOf(*access) + " wrote beside its block of " +
                std::to_string(block->bytes) + " bytes");
    forgetBefore(*block, *access);
  }
}

bool isHeldBack(const Item& item) { return item.what && *item.what == state().heldBack; }

/// The streams that are not idle, in an order that does not matter.
std::vector<Stream*> runnable() {
  std::vector<Stream*> found, others;
  for (const auto& stream : state().streams)
    if (isRunnable(*stream)) (isHeldBack(stream->items.front()) ? others : found).push_back(stream.get());
  return found.empty() ? others : found;
}

}  // namespace

uint64_t checksum(const void* data, size_t bytes) {
  constexpr size_t kAllBytes = size_t{256} << 10, kStepBytes = 4096, kSampleBytes = 64;
  const auto* at = static_cast<const uint8_t*>(data);
  uint64_t sum = bytes;
  const auto mix = [&sum](const uint8_t* from, size_t count) {
    for (; count >= 8; from += 8, count -= 8) {
      uint64_t word = 0;
      std::memcpy(&word, from, sizeof word);
      sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
      sum ^= sum >> 29;
    }
    for (; count > 0; ++from, --count) sum = (sum ^ *from) * 0x9e3779b97f4a7c15u;
  };
  // Of large ones a part of each page: kernels write all of a tensor, or its beginning.
  mix(at, std::min(bytes, kAllBytes));
  for (size_t i = kAllBytes; i + kSampleBytes <= bytes; i += kStepBytes) mix(at + i, kSampleBytes);
  return sum;
}

void holdBack(const std::string& name) {
  state().heldBack = name;
  state().ran.clear();
}
std::vector<std::string>& ran() { return state().ran; }

Stream* createStream(int device) {
  auto& all = state().streams;
  all.push_back(std::make_unique<Stream>());
  Stream* const made = all.back().get();
  made->number = static_cast<uint32_t>(all.size() - 1);
  made->device = device;
  state().knownStreams.insert(made);
  return made;
}

Stream* findStream(cudaStream_t handle, const char* call) {
  if (handle == nullptr) {
    auto& own = state().ownStreams;
    own.resize(static_cast<size_t>(playedDevices()));
    Stream*& stream = own[static_cast<size_t>(currentDevice())];
    if (stream == nullptr) stream = createStream(currentDevice());
    return stream;
  }
  auto* const stream = reinterpret_cast<Stream*>(handle);
  if (state().knownStreams.count(stream) > 0 && !stream->destroyed) return stream;
  violation(std::string(call) + ": no stream, or one that was destroyed");
  return nullptr;
}

Event* createEvent(int device, bool timed) {
  state().events.push_back(std::make_unique<Event>());
  Event* const made = state().events.back().get();
  made->device = device;
  made->timed = timed;
  state().knownEvents.insert(made);
  return made;
}

Event* findEvent(cudaEvent_t handle, const char* call) {
  auto* const event = reinterpret_cast<Event*>(handle);
  if (state().knownEvents.count(event) > 0 && !event->destroyed) return event;
  violation(std::string(call) + ": no event, or one that was destroyed");
  return nullptr;
}

Point pointOf(const Stream& stream) {
  Point point;
  point.stream = const_cast<Stream*>(&stream);
  point.index = stream.issued;
  point.clock = std::make_shared<const Clock>(stream.clock);
  return point;
}

bool hasPassed(const Point& point) { return point.stream == nullptr || point.stream->done >= point.index; }

void waitFor(Stream& stream, const Point& point) {
  if (point.stream == nullptr) return;
  join(stream.clock, *point.clock);
  advance(stream);
  Item item;
  item.waitsFor = point;
  stream.items.push_back(std::move(item));
}

void synchronize(const Point& point) {
  if (point.stream == nullptr) return;
  while (!hasPassed(point)) {
    const std::vector<Stream*> ready = runnable();
    if (ready.empty()) {
      std::fputs("simulator: every stream waits for another\n", stderr);
      std::abort();
    }
    runFirst(*ready[draw(ready.size())]);
  }
  join(waitedFor, *point.clock);
}

void dropWork(int device) {
  for (const auto& stream : state().streams) {
    if (stream->device != device) continue;
    for (const Item& item : stream->items)
      for (const auto& [block, access] : item.accesses) access->ran = true;
    stream->items.clear();
    stream->done = stream->issued;
  }
}

bool put(Stream& stream, const std::string& what, const std::vector<Touch>& touches,
         std::function<void()> work) {
  Item item;
  item.what = std::make_shared<const std::string>(what);
  item.work = std::move(work);
  advance(stream);
  const auto clock = std::make_shared<const Clock>(stream.clock);
  bool isRight = true;
  for (const Touch& touch : touches) {
    if (touch.bytes == 0) continue;
    Block* const block = check(what, touch);
    if (block == nullptr) {
      isRight = false;
      continue;
    }
    auto access = std::make_shared<Access>();
    access->mode = touch.mode;
    access->begin = reinterpret_cast<uintptr_t>(touch.data);
    access->end = access->begin + touch.bytes;
    access->stream = stream.number;
    access->index = stream.issued;
    access->clock = clock;
    access->what = item.what;
    if (!checkRaces(*block, *access)) isRight = false;
    item.accesses.emplace_back(block, std::move(access));
  }
  if (!isRight) item.work = nullptr;
  if (isRight)
    for (const auto& [block, access] : item.accesses) block->accesses.push_back(access);
  stream.items.push_back(std::move(item));
  return isRight;
}

bool isPending(const void* data, size_t bytes) {
  const Block* const block = findBlock(data);
  if (block == nullptr) return false;
  const auto begin = reinterpret_cast<uintptr_t>(data), end = begin + bytes;
  return std::any_of(block->accesses.begin(), block->accesses.end(), [&](const auto& access) {
    return !access->ran && access->begin < end && begin < access->end;
  });
}

void enqueue(cudaStream_t handle, const std::string& what, const std::vector<Range>& ranges,
             std::function<void()> work) {
  if (!computes()) return;
  const Lock lock(mutex());
  Stream* const stream = findStream(handle, what.c_str());
  if (stream == nullptr || isLost(stream->device)) return;
  std::vector<Touch> touches;
  for (const auto& [data, bytes, written] : ranges)
    touches.push_back({data, bytes, written ? Mode::Write : Mode::Read, stream->device});
  put(*stream, what, touches, std::move(work));
}

int deviceOf(cudaStream_t handle) {
  const Lock lock(mutex());
  const Stream* const stream = findStream(handle, "deviceOf");
  return stream != nullptr ? stream->device : 0;
}

}  // namespace simulator
