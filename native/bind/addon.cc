#include "bind/environment.h"
#include "bind/handle.h"
#include "bind/launch.h"
#include "bind/ops.h"

/// The addon's own functions: tensors, memory, devices. lib/native.ts has their types.
namespace nodecudnn {
namespace {

Device& deviceOf(const Napi::CallbackInfo& info, int index) {
  return Environment::of(info.Env()).device(info.Env(), index);
}
Device& deviceArgument(const Napi::CallbackInfo& info) {
  return deviceOf(info, info[0].ToNumber().Int32Value());
}

Shape shapeArgument(const Napi::Value& value) {
  const Napi::Array dims = value.As<Napi::Array>();
  Shape shape;
  for (uint32_t i = 0; i < dims.Length(); ++i) shape.push(dims.Get(i).ToNumber().Int64Value());
  return shape;
}

/// empty(device, dtype, shape) → handle
Napi::Value empty(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto dtype = static_cast<DType>(info[1].ToNumber().Int32Value());
  return wrap(env,
              std::make_unique<Handle>(allocate(env, deviceArgument(info), dtype, shapeArgument(info[2]))));
}

/// view(handle, shape) → another handle of the same memory
Napi::Value view(const Napi::CallbackInfo& info) {
  auto handle = std::make_unique<Handle>(unwrapHandle(info.Env(), info[0]));
  const Shape shape = shapeArgument(info[1]);
  CHECK(shape.count() == handle->shape.count(), "Expected ", handle->shape.count(),
        " elements for shape but received ", shape);
  handle->shape = shape;
  return wrap(info.Env(), std::move(handle));
}

void releaseHandle(const Napi::CallbackInfo& info) { release(info.Env(), info[0]); }

/// Of a SharedArrayBuffer's too, which Napi::ArrayBuffer refuses.
std::pair<uint8_t*, size_t> contentOf(const Napi::TypedArray& array) {
  void* data = nullptr;
  const napi_status status =
      napi_get_typedarray_info(array.Env(), array, nullptr, nullptr, &data, nullptr, nullptr);
  CHECK(status == napi_ok, "Expected typed array for data but received another value");
  return {static_cast<uint8_t*>(data), array.ByteLength()};
}

/// write(handle, offset in elements, typed array, whether it is part of writing all of the tensor): the array
/// is copied before the call returns.
void write(const Napi::CallbackInfo& info) {
  using Kind = Stream::Operation::Kind;
  const Napi::Env env = info.Env();
  Handle& handle = unwrapHandle(env, info[0]);
  const int64_t first = info[1].ToNumber().Int64Value(), count = handle.shape.count();
  CHECK(first >= 0 && first <= count, "Expected offset of at most ", count, " for tensor but received ",
        first);
  const size_t offset = static_cast<size_t>(first) * bytesOf(handle.dtype);
  const auto [source, bytes] = contentOf(info[2].As<Napi::TypedArray>());
  CHECK(bytes <= handle.bytes() - offset, "Expected at most ", handle.bytes() - offset,
        " bytes for tensor but received ", bytes);
  auto staged = std::make_shared<std::vector<uint8_t>>(source, source + bytes);
  deviceOf(info, handle.device)
      .stream.push({"write",
                    {},
                    {handle.fate},
                    [staged, target = handle.view(), offset](Context& context) {
                      upload(context, static_cast<uint8_t*>(target.data) + offset, staged->data(),
                             staged->size());
                    },
                    info[3].ToBoolean() ? Kind::Overwrite : Kind::Compute});
}

/// read(handle, typed array of its size) → promise of the array. The stream writes into it; the promise keeps
/// it alive.
Napi::Value read(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Handle& handle = unwrapHandle(env, info[0]);
  const Napi::TypedArray array = info[1].As<Napi::TypedArray>();
  const auto [host, bytes] = contentOf(array);
  CHECK(bytes == handle.bytes(), "Expected ", handle.bytes(), " bytes for array but received ", bytes);
  Completions* completions = &Environment::of(env).completions;
  const auto [id, promise] = completions->expect(env, array);
  // Not in `reads`: a poisoned tensor must reject the promise, not skip the operation.
  deviceOf(info, handle.device)
      .stream.pushAwaited({"read",
                           {},
                           {},
                           [=, id = id, host = host, device = handle.device, fate = handle.fate,
                            source = handle.view()](Context& context) {
                             auto failure = fate->failure();
                             if (!failure)
                               failure = attempt(device, "read", [&] {
                                 download(context, host, source.data, source.bytes());
                               });
                             completions->settle(id, failure);
                           }});
  return promise;
}

/// An operation on the handles of an array, which are of one device.
Launch launchOn(const Napi::CallbackInfo& info, const char* name, bool written) {
  const Napi::Array handles = info[0].As<Napi::Array>();
  Launch launch(info.Env(), name);
  for (uint32_t i = 0; i < handles.Length(); ++i)
    launch.use(unwrapHandle(info.Env(), static_cast<napi_value>(handles[i])), written);
  return launch;
}

/// check(handles of one device) → promise; rejects where one of them is poisoned.
Napi::Value check(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Launch launch = launchOn(info, "check", false);
  Completions* completions = &Environment::of(env).completions;
  const auto [id, promise] = completions->expect(env, env.Undefined());
  deviceOf(info, launch.device)
      .stream.pushAwaited(
          {"check",
           {},
           {},
           [=, id = id, device = launch.device, fates = std::move(launch.operation.reads)](Context& context) {
             auto failure = firstFailure(fates);
             if (!failure) failure = attempt(device, "check", [&] { finish(context); });
             completions->settle(id, failure);
           }});
  return promise;
}

/// synchronize(device) → promise; rejects with the first failure since the last call.
Napi::Value synchronize(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Device& device = deviceArgument(info);
  Completions* completions = &Environment::of(env).completions;
  const auto [id, promise] = completions->expect(env, env.Undefined());
  device.stream.synchronize(
      [=, id = id](std::shared_ptr<const Failure> failure) { completions->settle(id, failure); });
  return promise;
}

/// transfer(source, target): from one device of this backend to another, in both streams' order.
void transfer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Handle& source = unwrapHandle(env, info[0]);
  Handle& target = unwrapHandle(env, info[1]);
  Stream& stream = deviceOf(info, target.device).stream;
  const std::shared_ptr<Event> event = deviceOf(info, source.device).stream.record();
  stream.wait(event);
  stream.push(
      {"to",
       {source.fate, event->fate},
       {target.fate},
       [device = source.device, block = source.block->block(), from = source.view(), to = target.view()](
           Context& context) mutable { copyBetweenDevices(context, device, block, from, to); },
       Stream::Operation::Kind::Compute,
       source.device,
       source.bytes()});
}

/// together(handles of one device): those that are poisoned poison all.
void together(const Napi::CallbackInfo& info) {
  Launch launch = launchOn(info, "together", true);
  launch.operation.run = [](Context&) {};
  deviceOf(info, launch.device).stream.push(std::move(launch.operation));
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  const MemoryStats stats = deviceArgument(info).allocator->stats();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("liveBytes", static_cast<double>(stats.liveBytes));
  object.Set("workspaceBytes", static_cast<double>(stats.workspaceBytes));
  object.Set("cachedBytes", static_cast<double>(stats.cachedBytes));
  object.Set("peakBytes", static_cast<double>(stats.peakBytes));
  object.Set("liveBuffers", static_cast<double>(stats.liveBlocks));
  object.Set("cacheHits", static_cast<double>(stats.hits));
  object.Set("cacheMisses", static_cast<double>(stats.misses));
  return object;
}

void emptyCache(const Napi::CallbackInfo& info) { deviceArgument(info).stream.emptyCache(); }

/// failAllocation(device, workspace or tensor, count)
void failAllocation(const Napi::CallbackInfo& info) {
  deviceArgument(info).allocator->failAt(info[1].ToBoolean() ? Use::Workspace : Use::Tensor,
                                         static_cast<size_t>(info[2].ToNumber().Int64Value()));
}

Napi::Value queued(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(deviceArgument(info).stream.queued()));
}

/// setOption(device, name, integer)
void setDeviceOption(const Napi::CallbackInfo& info) {
  const std::string name = info[1].ToString();
  const int64_t value = info[2].ToNumber().Int64Value();
  deviceArgument(info).stream.pushAwaited(
      {"setOption", {}, {}, [name, value](Context& context) { setOption(context, name, value); }});
}

/// trace(device, whether what is enqueued from now on is traced)
void trace(const Napi::CallbackInfo& info) { deviceArgument(info).stream.trace().turn(info[1].ToBoolean()); }

/// label(device, text): what spans of operations that are enqueued from now on carry
void label(const Napi::CallbackInfo& info) {
  deviceArgument(info).stream.trace().setLabel(info[1].ToString());
}

/// takeSpans(device) → what was traced before the last synchronize, once
Napi::Value takeSpans(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::vector<Span> spans = deviceArgument(info).stream.trace().take();
  Napi::Array array = Napi::Array::New(env, spans.size());
  for (uint32_t i = 0; i < spans.size(); ++i) {
    const Napi::HandleScope scope(env);
    const Span& span = spans[i];
    Napi::Object object = Napi::Object::New(env);
    object.Set("op", span.op);
    object.Set("label", span.label ? *span.label : std::string());
    object.Set("implementation", span.implementation);
    object.Set("enqueuedNs", static_cast<double>(span.enqueued));
    object.Set("startNs", static_cast<double>(span.start));
    object.Set("endNs", static_cast<double>(span.end));
    object.Set("from", span.from);
    object.Set("bytes", static_cast<double>(span.bytes));
    array.Set(i, object);
  }
  return array;
}

/// choices(device) → what autotune chose: implementations by what they serve, as strings
Napi::Value choices(const Napi::CallbackInfo& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  for (const auto& [what, implementation] : deviceArgument(info).choices->all())
    object.Set(what, implementation);
  return object;
}

/// choose(device, implementations by what they serve): as if autotune had chosen those, and nothing else
void choose(const Napi::CallbackInfo& info) {
  Device& device = deviceArgument(info);
  std::map<std::string, std::string> chosen;
  for (const auto& [what, implementation] : info[1].As<Napi::Object>())
    chosen[what.ToString()] = static_cast<Napi::Value>(implementation).ToString();
  device.stream.pushAwaited(
      {"choose", {}, {}, [choices = device.choices, chosen = std::move(chosen)](Context& context) {
         choices->replace(chosen);
         forgetPlans(context);
       }});
}

/// describe() → facts about the backend, as strings
Napi::Value describe(const Napi::CallbackInfo& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  for (const auto& [name, value] : describeBackend()) object.Set(name, value);
  object.Set("devices", std::to_string(deviceCount()));
  return object;
}

void stop(const Napi::CallbackInfo& info) { Environment::of(info.Env()).stop(); }

/// initialize((code, message, op) → Error)
void initialize(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).setErrorFactory(info[0].As<Napi::Function>());
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(std::make_unique<Environment>(env).release());
  exports.Set("initialize", Napi::Function::New(env, guarded<initialize>));
  exports.Set("stop", Napi::Function::New(env, guarded<stop>));
  exports.Set("describe", Napi::Function::New(env, guarded<describe>));
  exports.Set("empty", Napi::Function::New(env, guarded<empty>));
  exports.Set("view", Napi::Function::New(env, guarded<view>));
  exports.Set("release", Napi::Function::New(env, guarded<releaseHandle>));
  exports.Set("write", Napi::Function::New(env, guarded<write>));
  exports.Set("read", Napi::Function::New(env, guarded<read>));
  exports.Set("check", Napi::Function::New(env, guarded<check>));
  exports.Set("transfer", Napi::Function::New(env, guarded<transfer>));
  exports.Set("together", Napi::Function::New(env, guarded<together>));
  exports.Set("synchronize", Napi::Function::New(env, guarded<synchronize>));
  exports.Set("memory", Napi::Function::New(env, guarded<memory>));
  exports.Set("emptyCache", Napi::Function::New(env, guarded<emptyCache>));
  exports.Set("failAllocation", Napi::Function::New(env, guarded<failAllocation>));
  exports.Set("queued", Napi::Function::New(env, guarded<queued>));
  exports.Set("setOption", Napi::Function::New(env, guarded<setDeviceOption>));
  exports.Set("trace", Napi::Function::New(env, guarded<trace>));
  exports.Set("label", Napi::Function::New(env, guarded<label>));
  exports.Set("takeSpans", Napi::Function::New(env, guarded<takeSpans>));
  exports.Set("choices", Napi::Function::New(env, guarded<choices>));
  exports.Set("choose", Napi::Function::New(env, guarded<choose>));
  exportOps(exports);
  return exports;
}

NODE_API_MODULE(node_cudnn, init)

}  // namespace
}  // namespace nodecudnn
