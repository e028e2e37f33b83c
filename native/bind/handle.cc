#include "bind/handle.h"

namespace nodecudnn {
namespace {

constexpr uint64_t kHandleKind = 0x74656e736f720001, kSavedKind = 0x7361766564000001;

/// The environment's address is part of the tag: each refuses the handles of others, which may be those of
/// another copy of the addon with another layout.
napi_type_tag tagOf(Napi::Env env, uint64_t kind) {
  return {reinterpret_cast<uintptr_t>(&Environment::of(env)), kind};
}

template <class T>
Napi::Value wrapTagged(Napi::Env env, std::unique_ptr<T> content, uint64_t kind) {
  auto external =
      Napi::External<T>::New(env, content.get(), [](Napi::Env, T* data) { std::unique_ptr<T> owner(data); });
  content.release();
  const napi_type_tag tag = tagOf(env, kind);
  external.TypeTag(&tag);
  return external;
}

/// Null when the value is something else.
template <class T>
T* contentOf(Napi::Env env, napi_value value, uint64_t kind) {
  const napi_type_tag tag = tagOf(env, kind);
  bool matches = false;
  void* data = nullptr;
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_external) return nullptr;
  if (napi_check_object_type_tag(env, value, &tag, &matches) != napi_ok || !matches) return nullptr;
  if (napi_get_value_external(env, value, &data) != napi_ok) return nullptr;
  return static_cast<T*>(data);
}

}  // namespace

ReportedBlock::ReportedBlock(std::shared_ptr<ExternalMemory> memory, std::shared_ptr<Block> block)
    : memory_(std::move(memory)), block_(std::move(block)) {
  memory_->change(static_cast<int64_t>(block_->bytes()));
}

ReportedBlock::~ReportedBlock() { memory_->change(-static_cast<int64_t>(block_->bytes())); }

Napi::Value wrap(Napi::Env env, std::unique_ptr<Handle> handle) {
  return wrapTagged(env, std::move(handle), kHandleKind);
}
Napi::Value wrap(Napi::Env env, std::unique_ptr<SavedHandle> saved) {
  return wrapTagged(env, std::move(saved), kSavedKind);
}

Handle& unwrapHandle(Napi::Env env, napi_value value) {
  auto* handle = contentOf<Handle>(env, value, kHandleKind);
  if (handle == nullptr)
    throw Environment::of(env).error(env, ErrorCode::Argument,
                                     "Expected tensor handle of this environment but received another value");
  if (!handle->block)
    throw Environment::of(env).error(env, ErrorCode::Argument,
                                     "Expected live tensor but received one that was disposed");
  return *handle;
}

SavedHandle& unwrapSaved(Napi::Env env, napi_value value) {
  auto* saved = contentOf<SavedHandle>(env, value, kSavedKind);
  if (saved == nullptr)
    throw Environment::of(env).error(env, ErrorCode::Argument,
                                     "Expected saved state of this environment but received another value");
  for (const SavedHandle::Part& part : saved->parts)
    if (!part.handle.block)
      throw Environment::of(env).error(env, ErrorCode::Argument,
                                       "Expected live saved state but received one that was disposed");
  return *saved;
}

void release(Napi::Env env, napi_value value) {
  if (auto* handle = contentOf<Handle>(env, value, kHandleKind)) handle->block.reset();
  if (auto* saved = contentOf<SavedHandle>(env, value, kSavedKind))
    for (SavedHandle::Part& part : saved->parts) part.handle.block.reset();
}

Handle allocate(Napi::Env env, Device& device, DType dtype, const Shape& shape) {
  const size_t bytes = static_cast<size_t>(shape.count()) * bytesOf(dtype);
  std::shared_ptr<Block> block;
  try {
    // The only call that waits for the device: else it would fail.
    block = device.allocator->allocate(bytes, Use::Tensor, [&device] {
      device.stream.emptyCache();
      device.stream.record()->wait();
    });
  } catch (const Error&) {
    device.stream.emptyCache();  // The next request may find what is cached now.
    throw;
  }
  if (device.allocator->isIdle()) device.stream.emptyCache();
  return {device.index,
          std::make_shared<ReportedBlock>(Environment::of(env).externalMemory, std::move(block)),
          std::make_shared<Fate>(), dtype, shape};
}

}  // namespace nodecudnn
