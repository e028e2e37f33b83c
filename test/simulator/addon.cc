// The addon's own binding, and what tests ask of the simulator: exports.simulator.
#include <napi.h>

#undef NODE_API_MODULE
#define NODE_API_MODULE(name, init)
#include "bind/addon.cc"
#include "simulator/devices.h"
#include "simulator/streams.h"

namespace nodecudnn {
namespace {

template <class Map>
Napi::Object objectOf(Napi::Env env, const Map& map) {
  Napi::Object object = Napi::Object::New(env);
  for (const auto& [name, value] : map) object.Set(name, static_cast<double>(value));
  return object;
}

Napi::Array arrayOf(Napi::Env env, const std::vector<std::string>& texts) {
  Napi::Array array = Napi::Array::New(env, texts.size());
  for (uint32_t i = 0; i < texts.size(); ++i) array.Set(i, texts[i]);
  return array;
}

/// seed(number): of the order of work from now on
void seedOrder(const Napi::CallbackInfo& info) {
  const simulator::Lock lock(simulator::mutex());
  simulator::seed(static_cast<uint64_t>(info[0].ToNumber().Int64Value()));
}
/// exact(on): each tensor and workspace has a block of its own and of its size, and is freed where it ends
void makeExact(const Napi::CallbackInfo& info) { Allocator::exact = info[0].ToBoolean(); }
/// limitMemory(bytes of each device)
void limitDevices(const Napi::CallbackInfo& info) {
  simulator::limitMemory(static_cast<size_t>(info[0].ToNumber().Int64Value()));
}
/// fail(call, nth, kind): 0 OutOfMemory, 1 ExecutionFailed, 2 DeviceLost
void failCall(const Napi::CallbackInfo& info) {
  simulator::failAt(info[0].ToString(), static_cast<uint64_t>(info[1].ToNumber().Int64Value()),
                    static_cast<simulator::Fault>(info[2].ToNumber().Int32Value()));
}
/// calls() → how often each was made
Napi::Value madeCalls(const Napi::CallbackInfo& info) {
  const simulator::Lock lock(simulator::mutex());
  return objectOf(info.Env(), simulator::calls());
}
/// counts() → what is live, by kind
Napi::Value liveCounts(const Napi::CallbackInfo& info) {
  const simulator::Lock lock(simulator::mutex());
  return objectOf(info.Env(), simulator::counts());
}
/// violations() → those so far
Napi::Value toldViolations(const Napi::CallbackInfo& info) {
  const simulator::Lock lock(simulator::mutex());
  return arrayOf(info.Env(), simulator::violations());
}

/// holdBack(name): work that runs when nothing else can; "" for none
void holdWorkBack(const Napi::CallbackInfo& info) {
  const simulator::Lock lock(simulator::mutex());
  simulator::holdBack(info[0].ToString());
}
/// ran() → names of the work that has run while some was held back
Napi::Value ranWork(const Napi::CallbackInfo& info) {
  const simulator::Lock lock(simulator::mutex());
  return arrayOf(info.Env(), simulator::ran());
}

/// cudnn() → the version of the real one, or null without it
Napi::Value realCudnnVersion(const Napi::CallbackInfo& info) {
  if (simulator::realCudnn("cudnnGetVersion") == nullptr) return info.Env().Null();
  return Napi::Number::New(info.Env(), static_cast<double>(cudnnGetVersion()));
}

Napi::Object initWithSimulator(Napi::Env env, Napi::Object exports) {
  Napi::Object simulator = Napi::Object::New(env);
  simulator.Set("seed", Napi::Function::New(env, guarded<seedOrder>));
  simulator.Set("exact", Napi::Function::New(env, guarded<makeExact>));
  simulator.Set("limitMemory", Napi::Function::New(env, guarded<limitDevices>));
  simulator.Set("fail", Napi::Function::New(env, guarded<failCall>));
  simulator.Set("calls", Napi::Function::New(env, guarded<madeCalls>));
  simulator.Set("counts", Napi::Function::New(env, guarded<liveCounts>));
  simulator.Set("violations", Napi::Function::New(env, guarded<toldViolations>));
  simulator.Set("holdBack", Napi::Function::New(env, guarded<holdWorkBack>));
  simulator.Set("ran", Napi::Function::New(env, guarded<ranWork>));
  simulator.Set("cudnn", Napi::Function::New(env, guarded<realCudnnVersion>));
  exports.Set("simulator", simulator);
  return init(env, exports);
}

NAPI_MODULE_INIT() { return Napi::RegisterModule(env, exports, initWithSimulator); }

}  // namespace
}  // namespace nodecudnn
