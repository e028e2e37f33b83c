#include "bind/external_memory.h"

namespace nodecudnn {

ExternalMemory::ExternalMemory(Napi::Env env)
    : wake_(decltype(wake_)::New(env, "node-cudnn memory", 0, 1, this)) {
  wake_.Unref(env);
}

void ExternalMemory::change(int64_t bytes) {
  bytes_ += bytes;
  if (woken_ || !open_ || (bytes_ <= told_ && bytes_ >= told_ / 2)) return;
  woken_ = true;
  wake_.NonBlockingCall();
}

void ExternalMemory::tell(Napi::Env env) {
  woken_ = false;
  const int64_t change = bytes_ - told_;
  told_ = bytes_;
  Napi::MemoryManagement::AdjustExternalMemory(env, change);
}

}  // namespace nodecudnn
