#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/error.h"

namespace nodecudnn {

enum class DType : uint8_t { Float32, Int32, UInt8 };

inline size_t bytesOf(DType type) { return type == DType::UInt8 ? 1 : 4; }

/// Up to eight dimensions, row-major; rank 0 is a scalar of one element.
class Shape {
 public:
  static constexpr int kMaxRank = 8;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) {
    for (int64_t dim : dims) push(dim);
  }

  void push(int64_t dim) {
    CHECK(rank_ < kMaxRank, "Expected at most ", kMaxRank, " dimensions for shape");
    dims_[rank_++] = dim;
  }
  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return dims_[axis]; }
  int64_t count() const {
    int64_t product = 1;
    for (int i = 0; i < rank_; ++i) product *= dims_[i];
    return product;
  }
  bool operator==(const Shape& other) const {
    if (rank_ != other.rank_) return false;
    for (int i = 0; i < rank_; ++i)
      if (dims_[i] != other.dims_[i]) return false;
    return true;
  }
  bool operator!=(const Shape& other) const { return !(*this == other); }

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

inline std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '[';
  for (int i = 0; i < shape.rank(); ++i) out << (i ? ", " : "") << shape[i];
  return out << ']';
}

inline void checkShape(const char* name, const Shape& received, const Shape& expected) {
  CHECK(received == expected, "Expected shape ", expected, " for ", name, " but received ", received);
}

inline void checkRank(const char* name, const Shape& received, int rank) {
  CHECK(received.rank() == rank, "Expected ", rank, " dimensions for ", name, " but received shape ",
        received);
}

/// A view of device memory, valid while the operation that receives it runs. It owns nothing: the stream's
/// order keeps the memory from being given away (see allocator.h).
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::Float32;
  Shape shape;

  int64_t count() const { return shape.count(); }
  size_t bytes() const { return static_cast<size_t>(count()) * bytesOf(dtype); }
  float* f32() const { return as<float>(DType::Float32); }
  int32_t* i32() const { return as<int32_t>(DType::Int32); }
  uint8_t* u8() const { return as<uint8_t>(DType::UInt8); }

 private:
  template <class T>
  T* as(DType expected) const {
    CHECK(dtype == expected, "Expected another dtype for a tensor of shape ", shape);
    return static_cast<T*>(data);
  }
};

/// What a forward keeps for its backward, chosen by the backend: parts of its inputs and outputs, and
/// tensors of its own. lib/ owns it and never looks inside.
using Saved = std::vector<Tensor>;

/// How a `…Save` function of ops.h states its choice: an argument to keep, or a new tensor to fill.
struct SavedSpec {
  enum class Kind : uint8_t { X, Y, New } kind;
  DType dtype = DType::Float32;
  Shape shape;

  static SavedSpec x() { return {Kind::X, DType::Float32, {}}; }
  static SavedSpec y() { return {Kind::Y, DType::Float32, {}}; }
  static SavedSpec fresh(DType dtype, const Shape& shape) { return {Kind::New, dtype, shape}; }
};

}  // namespace nodecudnn
