#include "bind/environment.h"

namespace nodecudnn {

Completions::Completions(Napi::Env env) : wake_(decltype(wake_)::New(env, "node-cudnn", 0, 1, this)) {
  wake_.Unref(env);
}

std::pair<uint64_t, Napi::Promise> Completions::expect(Napi::Env env, Napi::Value result) {
  if (pending_.empty()) wake_.Ref(env);
  Pending pending{Napi::Promise::Deferred::New(env), {}};
  if (!result.IsUndefined()) pending.result = Napi::Persistent(result.As<Napi::Object>());
  const Napi::Promise promise = pending.deferred.Promise();
  pending_.emplace(++lastId_, std::move(pending));
  return {lastId_, promise};
}

void Completions::settle(uint64_t id, std::shared_ptr<const Failure> failure) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!alive_) return;
  settled_.emplace_back(id, std::move(failure));
  // Under the lock: after close() the function may not be called any more.
  if (settled_.size() == 1) wake_.NonBlockingCall();
}

void Completions::drain(Napi::Env env) {
  std::vector<Settled> settled;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    settled.swap(settled_);
  }
  for (const auto& [id, failure] : settled) {
    const Napi::HandleScope scope(env);
    const auto found = pending_.find(id);
    const Pending& pending = found->second;
    if (failure)
      pending.deferred.Reject(
          Environment::of(env).error(env, failure->code, failure->cause, failure->op).Value());
    else
      pending.deferred.Resolve(pending.result.IsEmpty() ? env.Undefined() : pending.result.Value());
    pending_.erase(found);
  }
  if (pending_.empty()) wake_.Unref(env);
}

void Completions::close() {
  std::lock_guard<std::mutex> lock(mutex_);
  alive_ = false;
  settled_.clear();
}

Environment::Environment(Napi::Env env)
    : completions(env), externalMemory(std::make_shared<ExternalMemory>(env)) {
  // Registered after the thread-safe functions were made, so it runs before their own hooks.
  env.AddCleanupHook([this] {
    externalMemory->close();
    stop();
    devices_.clear();
  });
}

Environment& Environment::of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

Device& Environment::device(Napi::Env env, int index) {
  if (index < 0 || index >= deviceCount())
    throw error(env, ErrorCode::Argument,
                concat("Expected device index below ", deviceCount(), " but received ", index));
  if (devices_.size() <= static_cast<size_t>(index)) devices_.resize(index + 1);
  auto& device = devices_[index];
  if (!device) {
    device = std::make_unique<Device>(index);
    if (stopped_) stop();
  }
  return *device;
}

Napi::Error Environment::error(Napi::Env env, ErrorCode code, const std::string& message,
                               const std::string& op) const {
  const Napi::Value made = errorFactory_.Call({Napi::Number::New(env, static_cast<int>(code)),
                                               Napi::String::New(env, message), Napi::String::New(env, op)});
  return Napi::Error(env, made);
}

void Environment::stop() {
  stopped_ = true;
  completions.close();
  for (auto& device : devices_)
    if (device) device->stream.stop();
  for (auto& device : devices_)
    if (device) device->stream.clear();
  for (auto& device : devices_)
    if (device) device->stream.join();
}

}  // namespace nodecudnn
