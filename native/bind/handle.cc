#include "bind/handle.h"

namespace nodecudnn {
namespace {

constexpr napi_type_tag kHandleTag = {0x6e6f64652d637564, 0x74656e736f720001};
constexpr napi_type_tag kSavedTag = {0x6e6f64652d637564, 0x7361766564000001};

/// More cached memory than this and the most that was ever in use is left over from other sizes: it is given
/// back.
constexpr size_t kIdleCacheBytes = size_t{256} << 20;

template <class T>
Napi::Value wrapTagged(Napi::Env env, std::unique_ptr<T> content, const napi_type_tag& tag) {
  auto external =
      Napi::External<T>::New(env, content.get(), [](Napi::Env, T* data) { std::unique_ptr<T> owner(data); });
  content.release();
  external.TypeTag(&tag);
  return external;
}

/// Null when the value is something else.
template <class T>
T* contentOf(Napi::Env env, napi_value value, const napi_type_tag& tag) {
  bool matches = false;
  void* data = nullptr;
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_external) return nullptr;
  if (napi_check_object_type_tag(env, value, &tag, &matches) != napi_ok || !matches) return nullptr;
  if (napi_get_value_external(env, value, &data) != napi_ok) return nullptr;
  return static_cast<T*>(data);
}

}  // namespace

ReportedBlock::ReportedBlock(Napi::Env env, std::shared_ptr<Block> block)
    : env_(env), block_(std::move(block)) {
  Napi::MemoryManagement::AdjustExternalMemory(env_, static_cast<int64_t>(block_->bytes()));
}

ReportedBlock::~ReportedBlock() {
  Napi::MemoryManagement::AdjustExternalMemory(env_, -static_cast<int64_t>(block_->bytes()));
}

Napi::Value wrap(Napi::Env env, std::unique_ptr<Handle> handle) {
  return wrapTagged(env, std::move(handle), kHandleTag);
}
Napi::Value wrap(Napi::Env env, std::unique_ptr<SavedHandle> saved) {
  return wrapTagged(env, std::move(saved), kSavedTag);
}

Handle& unwrapHandle(Napi::Env env, napi_value value) {
  auto* handle = contentOf<Handle>(env, value, kHandleTag);
  if (handle == nullptr)
    throw Environment::of(env).error(env, ErrorCode::Argument,
                                     "Expected tensor handle of this addon but received another value");
  if (!handle->block)
    throw Environment::of(env).error(env, ErrorCode::Argument,
                                     "Expected live tensor but received one that was disposed");
  return *handle;
}

SavedHandle& unwrapSaved(Napi::Env env, napi_value value) {
  auto* saved = contentOf<SavedHandle>(env, value, kSavedTag);
  if (saved == nullptr)
    throw Environment::of(env).error(env, ErrorCode::Argument,
                                     "Expected saved state of this addon but received another value");
  for (const SavedHandle::Part& part : saved->parts)
    if (!part.handle.block)
      throw Environment::of(env).error(env, ErrorCode::Argument,
                                       "Expected live saved state but received one that was disposed");
  return *saved;
}

void release(Napi::Env env, napi_value value) {
  if (auto* handle = contentOf<Handle>(env, value, kHandleTag)) handle->block.reset();
  if (auto* saved = contentOf<SavedHandle>(env, value, kSavedTag))
    for (SavedHandle::Part& part : saved->parts) part.handle.block.reset();
}

Handle allocate(Napi::Env env, Device& device, DType dtype, const Shape& shape) {
  const size_t bytes = static_cast<size_t>(shape.count()) * bytesOf(dtype);
  std::shared_ptr<Block> block;
  try {
    block = device.allocator->allocate(bytes);
  } catch (const Error&) {
    device.stream.emptyCache();  // The next request may find what is cached now.
    throw;
  }
  const MemoryStats stats = device.allocator->stats();
  if (stats.cachedBytes > kIdleCacheBytes + stats.peakLiveBytes) device.stream.emptyCache();
  return {device.index, std::make_shared<ReportedBlock>(env, std::move(block)), std::make_shared<Fate>(),
          dtype, shape};
}

}  // namespace nodecudnn
