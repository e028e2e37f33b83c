#pragma once
#include <napi.h>

#include <memory>

#include "bind/environment.h"
#include "core/tensor.h"

namespace nodecudnn {

/// A block as JavaScript's handles share it; V8 is told of its size. Lives on the JavaScript thread.
class ReportedBlock {
 public:
  ReportedBlock(std::shared_ptr<ExternalMemory> memory, std::shared_ptr<Block> block);
  ~ReportedBlock();
  ReportedBlock(const ReportedBlock&) = delete;
  ReportedBlock& operator=(const ReportedBlock&) = delete;
  /// Another stream that reads the block shares this ownership until it has done so.
  const std::shared_ptr<Block>& block() const { return block_; }

 private:
  const std::shared_ptr<ExternalMemory> memory_;
  const std::shared_ptr<Block> block_;
};

/// What a tensor's external points to. Handles that share a block (reshape, the tape) share its fate.
struct Handle {
  int device;
  std::shared_ptr<ReportedBlock> block;  // Null once released.
  FatePtr fate;
  DType dtype;
  Shape shape;

  Tensor view() const { return {block->block()->data(), dtype, shape}; }
  size_t bytes() const { return static_cast<size_t>(shape.count()) * bytesOf(dtype); }
};

/// What a `Saved` external points to.
struct SavedHandle {
  struct Part {
    Handle handle;
    bool fresh;  // Made for this state, not an argument that is kept.
  };
  std::vector<Part> parts;
};

Napi::Value wrap(Napi::Env env, std::unique_ptr<Handle> handle);
Napi::Value wrap(Napi::Env env, std::unique_ptr<SavedHandle> saved);
/// Throw a typed error when the value is not a live handle of this addon.
Handle& unwrapHandle(Napi::Env env, napi_value value);
SavedHandle& unwrapSaved(Napi::Env env, napi_value value);
/// Frees the memory of a Handle or SavedHandle now. Later calls do nothing.
void release(Napi::Env env, napi_value value);

Handle allocate(Napi::Env env, Device& device, DType dtype, const Shape& shape);

}  // namespace nodecudnn
