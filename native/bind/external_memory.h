#pragma once
#include <napi.h>

namespace nodecudnn {

/// Tells V8 how many bytes its handles keep, so that garbage is collected in time. V8 may collect while it is
/// told, which takes milliseconds; and a training step takes and frees gigabytes within one turn of the event
/// loop. So a turn's changes are told together, in a turn of their own, and a fall only once half is gone.
/// Nothing comes later for it: finalizers do not run before that turn either.
class ExternalMemory {
 public:
  explicit ExternalMemory(Napi::Env env);
  /// JavaScript thread, like the others.
  void change(int64_t bytes);
  /// The environment ends.
  void close() { open_ = false; }

 private:
  void tell(Napi::Env env);
  /// Null environment: that one has ended.
  static void wake(Napi::Env env, Napi::Function, ExternalMemory* self, void*) {
    if (static_cast<napi_env>(env) != nullptr) self->tell(env);
  }

  Napi::TypedThreadSafeFunction<ExternalMemory, void, &ExternalMemory::wake> wake_;
  int64_t bytes_ = 0, told_ = 0;
  bool woken_ = false, open_ = true;
};

}  // namespace nodecudnn
