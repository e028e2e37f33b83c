#pragma once
#include <cstdint>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

namespace nodecudnn {

/// The first number of a key.
enum class PlanKind : int64_t { Conv2d, Linear, TunedConv2d };

/// What distinguishes one plan from another: the operation, and every number that its making depends on.
using PlanKey = std::vector<int64_t>;

/// A bounded cache of what a library prepares for an operation; the least recently used goes first.
class PlanCache {
 public:
  /// The plan of `key`, made by `make` (returning std::shared_ptr<Plan>) at first use.
  template <class Plan, class Make>
  std::shared_ptr<Plan> get(const PlanKey& key, Make make) {
    const auto found = index_.find(key);
    if (found != index_.end()) {
      order_.splice(order_.begin(), order_, found->second);
      return std::static_pointer_cast<Plan>(found->second->second);
    }
    std::shared_ptr<Plan> plan = make();
    order_.emplace_front(key, plan);
    index_[key] = order_.begin();
    if (order_.size() > kCapacity) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    return plan;
  }

  void clear() {
    index_.clear();
    order_.clear();
  }

 private:
  static constexpr size_t kCapacity = 256;
  struct Hash {
    size_t operator()(const PlanKey& key) const {
      size_t hash = 14695981039346656037u;  // FNV-1a over the numbers
      for (int64_t number : key) hash = (hash ^ static_cast<size_t>(number)) * 1099511628211u;
      return hash;
    }
  };
  using Entry = std::pair<PlanKey, std::shared_ptr<void>>;
  std::list<Entry> order_;
  std::unordered_map<PlanKey, std::list<Entry>::iterator, Hash> index_;
};

}  // namespace nodecudnn
