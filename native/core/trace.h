#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/backend.h"

namespace nodecudnn {

/// What an operation took of its device's time, in nanoseconds of std::chrono::steady_clock. A copy from
/// another device begins when its numbers are there and this one has come to it.
struct Span {
  const char* op;
  std::shared_ptr<const std::string> label;  // Null for none.
  std::string implementation;                // Empty where there is only one.
  int64_t enqueued, start, end;
  /// Of a copy from another device: that one, and how much. Otherwise -1 and 0.
  int from;
  size_t bytes;
};

/// The spans of one stream's operations.
class Trace {
 public:
  /// What an operation is given when it is enqueued; `enqueued` is 0 where it is not traced.
  struct Tag {
    int64_t enqueued = 0;
    std::shared_ptr<const std::string> label;
  };

  /// JavaScript's thread, like the next three.
  void turn(bool on) { on_ = on; }
  /// Of what is enqueued from now on.
  void setLabel(std::string label) { label_ = std::make_shared<const std::string>(std::move(label)); }
  Tag tag() const {
    if (!on_) return {};
    return {std::chrono::steady_clock::now().time_since_epoch().count(), label_};
  }
  /// Those that are complete, once.
  std::vector<Span> take() {
    std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(complete_, {});
  }

  /// The stream's thread: runs an operation and notes its span, with where it copies from and how much.
  template <class Run>
  void run(const char* op, const Tag& tag, int from, size_t bytes, Context& context, Run run) {
    takeImplementation(context);  // Of an operation before, which was not traced.
    const size_t reached = mark(context);
    const size_t ready = from < 0 ? reached : markCopies(context);
    run();
    const size_t end = mark(context);
    open_.push_back(
        {{op, tag.label, takeImplementation(context), tag.enqueued, 0, 0, from, bytes}, reached, ready, end});
  }
  /// The stream's thread: completes the spans so far. The device has done all that was enqueued.
  void complete(Context& context) {
    if (open_.empty()) return;
    const std::vector<int64_t> times = takeMarks(context);
    std::lock_guard<std::mutex> lock(mutex_);
    for (auto& [span, reached, ready, end] : std::exchange(open_, {})) {
      span.start = std::max(times[reached], times[ready]);
      span.end = times[end];
      complete_.push_back(std::move(span));
    }
  }

 private:
  struct Open {
    Span span;
    size_t reached, ready, end;  // Marks.
  };
  bool on_ = false;
  std::shared_ptr<const std::string> label_;
  std::vector<Open> open_;
  std::mutex mutex_;
  std::vector<Span> complete_;
};

}  // namespace nodecudnn
