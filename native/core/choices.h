#pragma once
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace nodecudnn {

/// What autotune chose on one device: which implementation serves an operation on those shapes, both as text,
/// so that a checkpoint can keep it. Any thread may use it.
class Choices {
 public:
  std::optional<std::string> find(const std::string& what) const {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = chosen_.find(what);
    return found == chosen_.end() ? std::nullopt : std::optional(found->second);
  }
  void set(const std::string& what, const std::string& implementation) {
    std::lock_guard<std::mutex> lock(mutex_);
    chosen_[what] = implementation;
  }
  void replace(std::map<std::string, std::string> chosen) {
    std::lock_guard<std::mutex> lock(mutex_);
    chosen_ = std::move(chosen);
  }
  std::map<std::string, std::string> all() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return chosen_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> chosen_;
};

}  // namespace nodecudnn
