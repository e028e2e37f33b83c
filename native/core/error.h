#pragma once
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace nodecudnn {

/// Which typed error of lib/errors.ts a failure becomes.
enum class ErrorCode { Internal, OutOfMemory, QueueFull, Argument, NotFinite, Cuda };

class Error : public std::runtime_error {
 public:
  /// `op`: the operation that failed, where it is another than the one that finds it out.
  Error(ErrorCode code, const std::string& message, std::string op = "")
      : std::runtime_error(message), code_(code), op_(std::move(op)) {}
  ErrorCode code() const { return code_; }
  const std::string& op() const { return op_; }

 private:
  ErrorCode code_;
  std::string op_;
};

template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  static_cast<void>((out << ... << parts));  // There may be none.
  return out.str();
}

}  // namespace nodecudnn

/// States what an operation relies on; the message is "Expected … for … but received …".
#define CHECK(condition, ...)                                                                       \
  do {                                                                                              \
    if (!(condition))                                                                               \
      throw ::nodecudnn::Error(::nodecudnn::ErrorCode::Argument, ::nodecudnn::concat(__VA_ARGS__)); \
  } while (false)
