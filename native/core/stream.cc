#include "core/stream.h"

#include <cctype>
#include <chrono>

namespace nodecudnn {
namespace {

/// To wake a thread costs the one who calls it about as much as all the rest of a small operation's call:
/// operations that follow each other find the stream's thread awake. On one core it would keep them from it.
const std::chrono::microseconds kAwake(std::thread::hardware_concurrency() > 1 ? 20 : 0);

template <class Condition>
void spinUntil(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + kAwake;
  while (!condition() && std::chrono::steady_clock::now() < end) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
}

}  // namespace

std::shared_ptr<const Failure> attempt(int device, const char* op, const std::function<void()>& run) {
  const auto failure = [device](const std::string& failed, const std::string& cause, ErrorCode code) {
    const std::string name = deviceName(device);
    const size_t at = cause.find(name), end = at + name.size();
    const bool isNamed = at != std::string::npos && (end == cause.size() || !std::isdigit(cause[end]));
    return std::make_shared<Failure>(Failure{failed, isNamed ? cause : concat(cause, ", on ", name), code});
  };
  try {
    run();
    return nullptr;
  } catch (const Error& error) {
    return failure(error.op().empty() ? op : error.op(), error.what(), error.code());
  } catch (const std::bad_alloc&) {
    return failure(op, "out of host memory", ErrorCode::OutOfMemory);
  } catch (const std::exception& error) {
    return failure(op, error.what(), ErrorCode::Internal);
  }
}

std::shared_ptr<const Failure> firstFailure(const std::vector<FatePtr>& fates) {
  for (const FatePtr& fate : fates)
    if (auto failure = fate->failure()) return failure;
  return nullptr;
}

void Event::pass() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    done_ = true;
  }
  passed_.notify_all();
}

void Event::wait() {
  std::unique_lock<std::mutex> lock(mutex_);
  passed_.wait(lock, [this] { return done_; });
}

Stream::Stream(int device, std::shared_ptr<Allocator> allocator, std::shared_ptr<Choices> choices)
    : device_(device),
      allocator_(std::move(allocator)),
      choices_(std::move(choices)),
      thread_([this] { run(); }) {}

Stream::~Stream() {
  stop();
  clear();
  join();
}

void Stream::join() {
  if (thread_.joinable()) thread_.join();
}

void Stream::push(Operation operation) {
  if (queued() >= kMaxQueued)
    throw Error(ErrorCode::QueueFull,
                concat("Expected fewer than ", kMaxQueued, " operations waiting before ", operation.name,
                       " but received one more: await data() or synchronize() now and then"));
  pushAwaited(std::move(operation));
}

void Stream::pushAwaited(Operation operation) {
  operation.tag = trace_.tag();
  enqueue(std::move(operation));
}

void Stream::enqueue(Operation operation) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) return;
    queue_.push_back(std::move(operation));
    queued_.store(queue_.size(), std::memory_order_release);
  }
  filled_.notify_one();
}

void Stream::synchronize(Done done) {
  enqueue({"synchronize", {}, {}, [this, done = std::move(done)](Context& context) {
             const auto last = attempt(device_, "synchronize", [this, &context] {
               finish(context);
               trace_.complete(context);
             });
             const auto first = std::exchange(firstFailure_, nullptr);
             done(first ? first : last);
           }});
}

std::shared_ptr<Event> Stream::record() {
  auto event = std::make_shared<Event>();
  // The last owner of the guard is the queued operation: the event passes when that has run or was dropped.
  std::shared_ptr<void> guard(event.get(), [event](void*) { event->pass(); });
  push({"record", {}, {event->fate}, [event, guard = std::move(guard)](Context& context) {
          event->point = markPoint(context);
        }});
  return event;
}

void Stream::wait(std::shared_ptr<Event> event) {
  push({"wait", {}, {event->fate}, [event = std::move(event)](Context& context) {
          event->wait();
          if (event->point) follow(context, *event->point);
        }});
}

void Stream::emptyCache() {
  allocator_->takeCache();
  // Freed by running, not with the closure: a dropped operation's blocks stay until the allocator goes.
  pushAwaited({"emptyCache", {}, {}, [this](Context&) { allocator_->freeTaken(); }});
}

void Stream::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  filled_.notify_one();
}

void Stream::clear() {
  std::deque<Operation> dropped;
  std::lock_guard<std::mutex> lock(mutex_);
  dropped.swap(queue_);
  queued_.store(0, std::memory_order_release);
}

void Stream::run() {
  const ContextPtr context = makeContext(device_, *allocator_, *choices_);
  for (;;) {
    spinUntil([this] { return queued() > 0; });
    std::unique_lock<std::mutex> lock(mutex_);
    filled_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    Operation operation = std::move(queue_.front());
    queue_.pop_front();
    queued_.store(queue_.size(), std::memory_order_release);
    lock.unlock();
    execute(operation, *context);
  }
}

void Stream::execute(Operation& operation, Context& context) {
  using Kind = Operation::Kind;
  std::shared_ptr<const Failure> failure = firstFailure(operation.reads);
  if (!failure && operation.kind != Kind::Overwrite) failure = firstFailure(operation.writes);
  if (failure) {
    if (operation.kind == Kind::Update) return;
  } else {
    failure = attempt(device_, operation.name, [&] {
      if (operation.tag.enqueued == 0) return operation.run(context);
      trace_.run(operation.name, operation.tag, operation.from, operation.bytes, context,
                 [&] { operation.run(context); });
    });
    if (!failure) {
      if (operation.kind == Kind::Overwrite)
        for (const FatePtr& fate : operation.writes) fate->poison(nullptr);
      return;
    }
    const bool isRefused = operation.kind == Kind::Update && failure->code != ErrorCode::NotFinite;
    if (isRefused)
      failure = std::make_shared<Failure>(Failure{
          failure->op,
          failure->cause + "; its tensors keep their numbers, those of other updates of the step are changed",
          failure->code});
    if (!firstFailure_) firstFailure_ = failure;
    if (isRefused) {
      for (const FatePtr& fate : operation.reads) fate->poison(failure);
      return;
    }
  }
  for (const FatePtr& fate : operation.writes) fate->poison(failure);
}

}  // namespace nodecudnn
