#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/backend.h"
#include "core/error.h"
#include "core/trace.h"

namespace nodecudnn {

/// Why a tensor holds no valid numbers: the first operation that failed, and its reason.
struct Failure {
  std::string op;
  std::string cause;
  ErrorCode code;
};

/// Runs it; what it threw, as a failure of that operation, or null. The cause names the device.
std::shared_ptr<const Failure> attempt(int device, const char* op, const std::function<void()>& run);

/// Whether a tensor's numbers are valid; shared by its handle and the queued operations that touch it.
class Fate {
 public:
  std::shared_ptr<const Failure> failure() const { return std::atomic_load(&failure_); }
  void poison(std::shared_ptr<const Failure> failure) { std::atomic_store(&failure_, std::move(failure)); }

 private:
  std::shared_ptr<const Failure> failure_;
};
using FatePtr = std::shared_ptr<Fate>;
/// Null where all are valid.
std::shared_ptr<const Failure> firstFailure(const std::vector<FatePtr>& fates);

/// A point in a stream's order that another stream can wait for. It also passes when the work before it was
/// dropped.
class Event {
 public:
  void pass();
  void wait();

  /// Poisoned where it could not be recorded or waited for: what relies on the order reads it.
  const FatePtr fate = std::make_shared<Fate>();
  /// Set before it passes.
  std::shared_ptr<const Point> point;

 private:
  std::mutex mutex_;
  std::condition_variable passed_;
  bool done_ = false;
};

/// One FIFO queue of operations and the thread that runs them. Enqueuing never waits.
class Stream {
 public:
  /// An operation: skipped when one of `reads` or `writes` is poisoned; `writes` are poisoned when it fails
  /// or is skipped. An update in place that is skipped, or refused, leaves their numbers to its `writes`;
  /// refused, it poisons its `reads` instead. (It fails otherwise where its results are not finite.) One that
  /// sets all of its `writes` anew makes them valid again.
  struct Operation {
    enum class Kind { Compute, Overwrite, Update };
    const char* name;
    std::vector<FatePtr> reads, writes;
    std::function<void(Context&)> run;
    Kind kind = Kind::Compute;
    /// Of a copy from another device: that one, and how much.
    int from = -1;
    size_t bytes = 0;
    Trace::Tag tag{};
  };
  using Done = std::function<void(std::shared_ptr<const Failure>)>;

  Stream(int device, std::shared_ptr<Allocator> allocator, std::shared_ptr<Choices> choices);
  ~Stream();

  /// Throws Error(QueueFull) when kMaxQueued operations are waiting.
  void push(Operation operation);
  /// Enqueues what somebody will wait for, however full the queue is: waiting is what empties it.
  void pushAwaited(Operation operation);
  /// Calls `done` on the stream thread with the first failure since the last call, or null. Completes the
  /// trace of what was enqueued before.
  void synchronize(Done done);
  /// An event that passes when all that is queued now has run.
  std::shared_ptr<Event> record();
  void wait(std::shared_ptr<Event> event);
  /// Frees the memory that the allocator caches, in the stream's order.
  void emptyCache();

  /// The thread ends after the operation it is in; what is pushed from then on is dropped. Streams that may
  /// wait for each other are all stopped before the first is cleared, and all cleared before the first is
  /// joined: an event that passes by being dropped lets no operation run. The destructor does the three.
  void stop();
  void clear();
  /// Waits for the end of the thread.
  void join();
  size_t queued() const { return queued_.load(std::memory_order_acquire); }
  Trace& trace() { return trace_; }

  static constexpr size_t kMaxQueued = 16384;

 private:
  void enqueue(Operation operation);
  void run();
  void execute(Operation& operation, Context& context);

  const int device_;
  std::shared_ptr<Allocator> allocator_;
  std::shared_ptr<Choices> choices_;
  Trace trace_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<Operation> queue_;
  std::atomic<size_t> queued_{0};                // Its length, for those who do not hold the lock.
  std::shared_ptr<const Failure> firstFailure_;  // Touched by the stream thread only.
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace nodecudnn
