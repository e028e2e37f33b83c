#pragma once
#include <napi.h>

#include <map>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

#include "bind/external_memory.h"
#include "core/stream.h"

namespace nodecudnn {

/// One device as one JavaScript environment sees it: its memory and its stream.
struct Device {
  explicit Device(int index)
      : index(index),
        allocator(std::make_shared<Allocator>(index)),
        choices(std::make_shared<Choices>()),
        stream(index, allocator, choices) {}
  const int index;
  const std::shared_ptr<Allocator> allocator;
  const std::shared_ptr<Choices> choices;
  Stream stream;
};

/// The promises that stream threads settle. The process stays alive while there is one.
class Completions {
 public:
  explicit Completions(Napi::Env env);
  /// JavaScript thread: a promise that resolves with `result` (an object or undefined) when its id is
  /// settled.
  std::pair<uint64_t, Napi::Promise> expect(Napi::Env env, Napi::Value result);
  /// Any thread: rejects the promise if there is a failure, and does nothing once the environment has ended.
  void settle(uint64_t id, std::shared_ptr<const Failure> failure);
  /// JavaScript thread: the environment ends.
  void close();

 private:
  struct Pending {
    Napi::Promise::Deferred deferred;
    Napi::ObjectReference result;  // Empty for undefined.
  };
  using Settled = std::pair<uint64_t, std::shared_ptr<const Failure>>;
  void drain(Napi::Env env);
  /// Null environment: that one has ended.
  static void wake(Napi::Env env, Napi::Function, Completions* self, void*) {
    if (static_cast<napi_env>(env) != nullptr) self->drain(env);
  }

  std::map<uint64_t, Pending> pending_;  // JavaScript thread only, like the next two.
  uint64_t lastId_ = 0;
  Napi::TypedThreadSafeFunction<Completions, void, &Completions::wake> wake_;
  std::mutex mutex_;
  std::vector<Settled> settled_;
  bool alive_ = true;
};

/// What belongs to one JavaScript environment (the main thread's, a worker's). Nothing is process-global.
class Environment {
 public:
  explicit Environment(Napi::Env env);
  static Environment& of(Napi::Env env);

  /// Creates the device at first use; once the environment has ended, one that drops what it is given.
  Device& device(Napi::Env env, int index);
  /// A typed error of lib/errors.ts.
  Napi::Error error(Napi::Env env, ErrorCode code, const std::string& message,
                    const std::string& op = "") const;
  void setErrorFactory(Napi::Function factory) { errorFactory_ = Napi::Persistent(factory); }

  /// Ends all streams after the operations that they are in. Called before exit() takes away what those use,
  /// and when the environment ends.
  void stop();

  Completions completions;
  /// Shared by the handles, which may be finalized after the environment.
  const std::shared_ptr<ExternalMemory> externalMemory;

 private:
  bool stopped_ = false;
  std::vector<std::unique_ptr<Device>> devices_;
  Napi::FunctionReference errorFactory_;
};

/// A function for JavaScript. Whatever it throws becomes a JavaScript error: nothing else may cross that
/// edge.
template <auto kFunction>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  try {
    if constexpr (std::is_void_v<decltype(kFunction(info))>) {
      kFunction(info);
      return env.Undefined();
    } else {
      return kFunction(info);
    }
  } catch (const Napi::Error&) {
    throw;
  } catch (const Error& error) {
    throw Environment::of(env).error(env, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    throw Environment::of(env).error(env, ErrorCode::OutOfMemory,
                                     "Expected free host memory but there is none");
  } catch (const std::exception& error) {
    throw Environment::of(env).error(env, ErrorCode::Internal, error.what());
  }
}

}  // namespace nodecudnn
