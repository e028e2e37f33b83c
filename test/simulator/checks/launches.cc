// launches: production's kernels as nvcc compiled them, on a runtime that records each launch and starts
// none. Prints a line of JSON for each call of native/cuda/kernels.cuh: what it launched, or why it failed.
// The runtime's side of what nvcc writes in place of <<<>>> is in CUDA's crt/host_runtime.h.
#include <algorithm>
#include <cstring>
#include <iostream>
#include <map>
#include <optional>
#include <vector>

#include "cuda/error.h"
#include "cuda/kernels.cuh"

// ---- The runtime ----

namespace {

struct Configuration {
  dim3 grid, block;
  size_t sharedBytes;
  cudaStream_t stream;
};
struct Launch {
  std::string kernel;
  Configuration configuration;
  int64_t n;
  /// The beginning of the functor: its captures.
  std::vector<const void*> captured;
};

/// Kernels by their host function. They are registered before what is static here is made.
std::map<const void*, std::string>& registered() {
  static std::map<const void*, std::string> all;
  return all;
}
int fatBinaries = 0;
std::vector<Configuration> pushed;
std::vector<Launch> launches;
/// What each launch gives.
cudaError_t outcome = cudaSuccess;
cudaError_t lastError = cudaSuccess;

/// As the runtime checks a launch on any device.
bool isPossible(const Configuration& c) {
  const auto within = [](const dim3& size, unsigned x, unsigned y, unsigned z) {
    return size.x >= 1 && size.y >= 1 && size.z >= 1 && size.x <= x && size.y <= y && size.z <= z;
  };
  return within(c.grid, 2147483647, 65535, 65535) && within(c.block, 1024, 1024, 64) &&
         uint64_t{c.block.x} * c.block.y * c.block.z <= 1024 && c.sharedBytes <= 48 << 10;
}

cudaError_t launch(const void* kernel, const Configuration& configuration, void** arguments) {
  const auto found = registered().find(kernel);
  if (found == registered().end()) return lastError = cudaErrorInvalidDeviceFunction;
  if (!isPossible(configuration)) return lastError = cudaErrorInvalidConfiguration;
  if (outcome != cudaSuccess) return lastError = outcome;
  Launch launched{found->second, configuration, 0, std::vector<const void*>(20)};
  std::memcpy(&launched.n, arguments[0], sizeof launched.n);
  // No functor says how large it is: it is less than this, and behind it is the stack.
  std::memcpy(launched.captured.data(), arguments[1], launched.captured.size() * sizeof(void*));
  launches.push_back(std::move(launched));
  return cudaSuccess;
}

}  // namespace

extern "C" {

void** __cudaRegisterFatBinary(void*) {
  static void* handle = nullptr;
  ++fatBinaries;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) { --fatBinaries; }
void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, uint3*, uint3*, dim3*,
                            dim3*, int*) {
  registered().emplace(host, name);
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t sharedBytes, cudaStream_t stream) {
  pushed.push_back({grid, block, sharedBytes, stream});
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* sharedBytes, void* stream) {
  if (pushed.empty()) return cudaErrorMissingConfiguration;
  *grid = pushed.back().grid;
  *block = pushed.back().block;
  *sharedBytes = pushed.back().sharedBytes;
  *static_cast<cudaStream_t*>(stream) = pushed.back().stream;
  pushed.pop_back();
  return cudaSuccess;
}

/// A kernel is known by its host function.
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(host));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               size_t sharedBytes, cudaStream_t stream) {
  return launch(kernel, {grid, block, sharedBytes, stream}, arguments);
}
/// By CUDA 12.
cudaError_t cudaLaunchKernel(const void* host, dim3 grid, dim3 block, void** arguments, size_t sharedBytes,
                             cudaStream_t stream) {
  return launch(host, {grid, block, sharedBytes, stream}, arguments);
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = lastError;
  lastError = cudaSuccess;
  return error;
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaErrorNoKernelImageForDevice ? "cudaErrorNoKernelImageForDevice" : "cudaError";
}
const char* cudaGetErrorString(cudaError_t) { return "of the recording runtime"; }

}  // extern "C"

// ---- The calls ----

namespace nodecudnn {
namespace {

/// Pointers to nothing; each call's own.
class Pointers {
 public:
  template <class T>
  operator T*() {
    all_.push_back(reinterpret_cast<void*>((all_.size() + 1) << 32));
    return static_cast<T*>(all_.back());
  }
  const std::vector<void*>& all() const { return all_; }

 private:
  std::vector<void*> all_;
};

constexpr int64_t kColumns = 10;

template <class Call>
void record(const char* function, int64_t size, Call call) {
  static int anything;
  const auto stream = reinterpret_cast<cudaStream_t>(&anything);
  launches.clear();
  Pointers pointers;
  std::string error;
  try {
    call(stream, pointers);
  } catch (const CudaError& failure) {
    error = failure.what();
  }
  size_t found = 0;
  for (const void* pointer : pointers.all())
    for (const Launch& launched : launches)
      if (std::count(launched.captured.begin(), launched.captured.end(), pointer) > 0) {
        ++found;
        break;
      }
  std::cout << "{\"function\":\"" << function << "\",\"size\":" << size
            << ",\"pointers\":" << pointers.all().size() << ",\"captured\":" << found << ",\"error\":\""
            << error << "\",\"left\":" << pushed.size() << ",\"launches\":[";
  const char* separator = "";
  for (const auto& [kernel, c, n, captured] : launches) {
    std::cout << separator << "{\"kernel\":\"" << kernel << "\",\"grid\":[" << c.grid.x << ',' << c.grid.y
              << ',' << c.grid.z << "],\"block\":[" << c.block.x << ',' << c.block.y << ',' << c.block.z
              << "],\"sharedBytes\":" << c.sharedBytes << ",\"onStream\":" << (c.stream == stream)
              << ",\"n\":" << n << '}';
    separator = ",";
  }
  std::cout << "]}\n";
}

void recordAll(int64_t n) {
  using namespace kernels;
  const Lrn window{5, 5, 1, 1, 1};
  const Sequence sequence{1, 2, 3};
  const AdamFactors factors{};
  record("relu", n, [&](cudaStream_t s, Pointers& p) { relu(s, n, p, p); });
  record("reluBackward", n, [&](cudaStream_t s, Pointers& p) { reluBackward(s, n, p, p, p); });
  record("tanh", n, [&](cudaStream_t s, Pointers& p) { kernels::tanh(s, n, p, p); });
  record("tanhBackward", n, [&](cudaStream_t s, Pointers& p) { tanhBackward(s, n, p, p, p); });
  record("add", n, [&](cudaStream_t s, Pointers& p) { add(s, n, p, p, p); });
  record("cat", n, [&](cudaStream_t s, Pointers& p) { cat(s, n, 1, 3, p, p, p); });
  record("catBackward", n, [&](cudaStream_t s, Pointers& p) { catBackward(s, n, 1, 3, p, p, p); });
  record("scale", n, [&](cudaStream_t s, Pointers& p) { scale(s, n, 2, p, p); });
  record("fill", n, [&](cudaStream_t s, Pointers& p) { fill(s, n, 1.0f, static_cast<float*>(p)); });
  record("fill", n, [&](cudaStream_t s, Pointers& p) { fill(s, n, int32_t{1}, static_cast<int32_t*>(p)); });
  record("fill", n, [&](cudaStream_t s, Pointers& p) { fill(s, n, uint8_t{1}, static_cast<uint8_t*>(p)); });
  record("addBiasRelu", n, [&](cudaStream_t s, Pointers& p) { addBiasRelu(s, n, kColumns, p, true, p); });
  record("biasReluBackward", n,
         [&](cudaStream_t s, Pointers& p) { biasReluBackward(s, n, kColumns, p, p, p, p, p); });
  record("lrn", n, [&](cudaStream_t s, Pointers& p) { lrn(s, n, window, p, p); });
  record("lrnBackward", n, [&](cudaStream_t s, Pointers& p) { lrnBackward(s, n, window, p, p, p); });
  record("dropout", n, [&](cudaStream_t s, Pointers& p) { dropout(s, n, n, n, sequence, 1, 2, p, p); });
  record("randomUniform", n, [&](cudaStream_t s, Pointers& p) { randomUniform(s, n, sequence, 0, 1, 1, p); });
  record("randomNormal", n, [&](cudaStream_t s, Pointers& p) { randomNormal(s, n, sequence, 0, 1, p); });
  record("softmax", n, [&](cudaStream_t s, Pointers& p) { softmax(s, n, kColumns, p, p); });
  record("softmaxBackward", n,
         [&](cudaStream_t s, Pointers& p) { softmaxBackward(s, n, kColumns, p, p, p); });
  record("softmaxCrossEntropy", n,
         [&](cudaStream_t s, Pointers& p) { softmaxCrossEntropy(s, n, kColumns, p, p, p, p, p, p); });
  record("softmaxCrossEntropyBackward", n,
         [&](cudaStream_t s, Pointers& p) { softmaxCrossEntropyBackward(s, n, kColumns, p, p, p, p, p); });
  record("topKHits", n, [&](cudaStream_t s, Pointers& p) { topKHits(s, n, kColumns, 5, p, p, p, p); });
  record("sgdStep", n, [&](cudaStream_t s, Pointers& p) { sgdStep(s, n, 1, 1, 1, p, p, p, p); });
  record("adamStep", n, [&](cudaStream_t s, Pointers& p) { adamStep(s, n, factors, p, p, p, p, p); });
  record("prepareImages", n, [&](cudaStream_t s, Pointers& p) {
    prepareImages(s, Crops{n, 7, 9, 3, 4, 3, 5, p, p, p, p, p, true, p}, p);
  });
}

void run() {
  for (int64_t size : {int64_t{0}, int64_t{1}, int64_t{255}, int64_t{256}, int64_t{257}, int64_t{1'000'000},
                       (int64_t{1} << 31) + 5})
    recordAll(size);
  outcome = cudaErrorNoKernelImageForDevice;
  recordAll(1000);
  std::cout << "{\"kernels\":" << registered().size() << ",\"fatBinaries\":" << fatBinaries << "}\n";
}

}  // namespace
}  // namespace nodecudnn

int main() {
  nodecudnn::run();
  return 0;
}
