// graph_check real|alone DEVICE.json …: production's convolutions on the simulator's cuDNN, with the real one
// behind it or without. All runs at once, in the host's memory. Prints lines of JSON: for each
// convolution, pass and device the engine and how far the result is from one by plain loops in double; for
// each misuse what was told.
#include <dlfcn.h>

#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>

#include "cuda/conv2d_graph.h"
#include "cuda/error.h"
#include "simulator/operation_graph.h"
#include "simulator/simulator.h"

// ---- As much of the simulator as graphs need ----

namespace simulator {
namespace {

std::vector<PlayedDevice> devices;
std::vector<std::string> violations;
void* library = nullptr;
std::string lastRefusal;
int current = 0, descriptors = 0;
/// What there is of memory, and the ranges of the last work.
std::map<const char*, size_t> blocks;

bool isWithinBlock(const Range& range) {
  const auto* data = static_cast<const char*>(range.data);
  const auto after = blocks.upper_bound(data);
  if (after == blocks.begin()) return false;
  const auto& [begin, bytes] = *std::prev(after);
  return data + range.bytes <= begin + bytes;
}

}  // namespace

void enqueue(cudaStream_t, const std::string& what, const std::vector<Range>& ranges,
             std::function<void()> work) {
  for (const Range& range : ranges)
    if (!isWithinBlock(range)) return violation(what + ": outside of a block");
  work();
}
void* hostAddress(const void* device) { return const_cast<void*>(device); }
void violation(const std::string& what) { violations.push_back(what); }
std::optional<Fault> injected(const char*) { return std::nullopt; }
cudnnStatus_t cudnnStatus(Fault) { return CUDNN_STATUS_INTERNAL_ERROR; }
cudnnStatus_t refuse(cudnnStatus_t status, const std::string& why) {
  lastRefusal = why;
  return status;
}
int currentDevice() { return current; }
/// A handle is its device, plus one.
int deviceOf(cudnnHandle_t handle) { return static_cast<int>(reinterpret_cast<intptr_t>(handle)) - 1; }
cudaStream_t streamOf(cudnnHandle_t) { return nullptr; }
const PlayedDevice& played(int device) { return devices.at(static_cast<size_t>(device)); }
void count(const char*, int change) { descriptors += change; }
void* realCudnn(const char* name) { return library == nullptr ? nullptr : dlsym(library, name); }

}  // namespace simulator

extern "C" {
cudaError_t cudaGetDevice(int* device) {
  *device = simulator::current;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  const int capability = simulator::played(device).capability;
  if (attribute == cudaDevAttrComputeCapabilityMajor) *value = capability / 10;
  if (attribute == cudaDevAttrComputeCapabilityMinor) *value = capability % 10;
  return cudaSuccess;
}
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t, cudaStreamCaptureStatus* status, unsigned long long*,
                                     cudaGraph_t*, const cudaGraphNode_t**, const cudaGraphEdgeData**,
                                     size_t*) {
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
size_t cudnnGetVersion() { return CUDNN_VERSION; }
const char* cudnnGetErrorString(cudnnStatus_t) { return "a cudnnStatus_t"; }
void cudnnGetLastErrorString(char* text, size_t size) {
  text[simulator::lastRefusal.copy(text, size - 1)] = '\0';
}
cudnnStatus_t cudnnGetStream(cudnnHandle_t, cudaStream_t* stream) {
  *stream = nullptr;
  return CUDNN_STATUS_SUCCESS;
}
}

namespace nodecudnn {
namespace {

/// Numbers in device memory, between others that nobody may touch.
class Numbers {
 public:
  explicit Numbers(int64_t count) : Numbers(count, [] { return 0.0f; }) {}
  template <class Draw>
  Numbers(int64_t count, Draw draw)
      : count_(count), all_(static_cast<size_t>(count) + 2 * kMargin, kOutside) {
    for (int64_t i = 0; i < count; ++i) data()[i] = draw();
    simulator::blocks[reinterpret_cast<char*>(data())] = static_cast<size_t>(count) * sizeof(float);
  }
  ~Numbers() { simulator::blocks.erase(reinterpret_cast<char*>(data())); }
  Numbers(const Numbers&) = delete;
  Numbers& operator=(const Numbers&) = delete;

  float* data() { return all_.data() + kMargin; }
  const float* data() const { return all_.data() + kMargin; }
  float operator[](int64_t i) const { return data()[i]; }
  int64_t count() const { return count_; }
  bool isWholeAround() const {
    for (size_t i = 0; i < kMargin; ++i)
      if (all_[i] != kOutside || all_[all_.size() - 1 - i] != kOutside) return false;
    return true;
  }

 private:
  static constexpr size_t kMargin = 64;
  static constexpr float kOutside = 12345;
  int64_t count_;
  std::vector<float> all_;
};

struct Case {
  const char* name;
  Conv2dShape shape;
};

Conv2dShape convolution(int64_t n, int64_t h, int64_t w, int64_t c, int64_t k, int64_t r, int64_t s,
                        int64_t strideH, int64_t strideW, int64_t padH, int64_t padW, int64_t dilationH,
                        int64_t dilationW, int64_t groups, bool relu, bool bias) {
  return {n,
          h,
          w,
          c,
          k,
          r,
          s,
          conv2dOutputSize(h, r, strideH, padH, dilationH),
          conv2dOutputSize(w, s, strideW, padW, dilationW),
          strideH,
          strideW,
          padH,
          padW,
          dilationH,
          dilationW,
          groups,
          relu,
          bias};
}

const std::vector<Case> kCases = {
    {"plain", convolution(2, 9, 9, 4, 8, 3, 3, 1, 1, 0, 0, 1, 1, 1, false, false)},
    {"padded, fused", convolution(2, 9, 7, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, true, true)},
    {"of three channels, strides", convolution(2, 23, 21, 3, 16, 5, 5, 3, 2, 2, 1, 1, 1, 1, true, true)},
    {"groups", convolution(2, 11, 13, 8, 12, 3, 3, 1, 1, 1, 1, 1, 1, 2, true, true)},
    {"groups, only bias", convolution(3, 11, 13, 8, 12, 5, 3, 2, 1, 2, 1, 1, 1, 2, false, true)},
    {"dilation", convolution(2, 15, 16, 8, 8, 3, 3, 1, 1, 2, 2, 2, 2, 1, false, true)},
    {"AlexNet's conv1", convolution(2, 227, 227, 3, 96, 11, 11, 4, 4, 0, 0, 1, 1, 1, true, true)},
    {"AlexNet's conv2", convolution(2, 27, 27, 96, 256, 5, 5, 1, 1, 2, 2, 1, 1, 2, true, true)},
    {"AlexNet's conv3", convolution(2, 13, 13, 256, 384, 3, 3, 1, 1, 1, 1, 1, 1, 1, true, true)},
};

/// body(x, w, y): indices of elements of which the first two are multiplied for the third.
template <class Body>
void forEachProduct(const Conv2dShape& q, Body body) {
  for (int64_t n = 0; n < q.n; ++n)
    for (int64_t oh = 0; oh < q.oh; ++oh)
      for (int64_t ow = 0; ow < q.ow; ++ow)
        for (int64_t k = 0; k < q.k; ++k)
          for (int64_t r = 0; r < q.r; ++r)
            for (int64_t s = 0; s < q.s; ++s) {
              const int64_t h = oh * q.strideH - q.padH + r * q.dilationH;
              const int64_t w = ow * q.strideW - q.padW + s * q.dilationW;
              if (h < 0 || h >= q.h || w < 0 || w >= q.w) continue;
              const int64_t x = ((n * q.h + h) * q.w + w) * q.c + k / q.groupK() * q.groupC();
              for (int64_t c = 0; c < q.groupC(); ++c)
                body(x + c, ((k * q.r + r) * q.s + s) * q.groupC() + c,
                     ((n * q.oh + oh) * q.ow + ow) * q.k + k);
            }
}

double errorOf(const Numbers& got, const std::vector<double>& wanted) {
  double most = 0, error = 0;
  for (int64_t i = 0; i < got.count(); ++i) {
    const double value = wanted[static_cast<size_t>(i)];
    most = std::max(most, std::abs(value));
    error = std::max(error, std::isnan(got[i]) ? INFINITY : std::abs(got[i] - value));
  }
  return error / most;
}

/// Inputs of a case, and what its three passes give.
struct Example {
  explicit Example(const Conv2dShape& q)
      : shape(q),
        x(q.n * q.h * q.w * q.c, draw),
        w(q.k * q.filter(), draw),
        bias(q.k, draw),
        dy(q.n * q.oh * q.ow * q.k, draw),
        y(static_cast<size_t>(dy.count())),
        dx(static_cast<size_t>(x.count())),
        dw(static_cast<size_t>(w.count())) {
    forEachProduct(q, [this](int64_t i, int64_t j, int64_t k) {
      y[static_cast<size_t>(k)] += static_cast<double>(x[i]) * w[j];
      dx[static_cast<size_t>(i)] += static_cast<double>(dy[k]) * w[j];
      dw[static_cast<size_t>(j)] += static_cast<double>(dy[k]) * x[i];
    });
    for (size_t i = 0; i < y.size(); ++i) {
      if (q.bias) y[i] += bias[static_cast<int64_t>(i) % q.k];
      if (q.relu) y[i] = std::max(y[i], 0.0);
    }
  }
  static float draw() {
    static std::mt19937 random(1);
    return static_cast<float>(random() >> 8) / (1 << 23) - 1;
  }

  Conv2dShape shape;
  Numbers x, w, bias, dy;
  std::vector<double> y, dx, dw;
};

cudnnHandle_t handleOf(int device) {
  return reinterpret_cast<cudnnHandle_t>(static_cast<intptr_t>(device) + 1);
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) out += c == '"' || c == '\\' ? std::string{'\\', c} : c == '\n' ? " " : std::string{c};
  return out + '"';
}

/// The first plans of the heuristics' list; of the large cases one.
constexpr size_t kPlans = 4;
constexpr int64_t kLarge = 1 << 18;

std::vector<std::shared_ptr<Conv2dPlan>> plansFor(int device, Conv2dPass pass, Conv2dShape shape,
                                                  const Conv2dMath& math) {
  if (pass != Conv2dPass::Forward) shape.relu = shape.bias = false;
  const Conv2dPlanner planner(handleOf(device));
  const bool isLarge = shape.n * shape.h * shape.w * shape.c + shape.k * shape.filter() > kLarge;
  auto plans = planner.plans(pass, shape, math, isLarge ? 1 : kPlans);
  for (const auto& plan : plans) {
    const auto found = planner.named(plan->name(), pass, shape, math);
    CHECK(found != nullptr && found->name() == plan->name(), "Expected a plan ", plan->name());
  }
  return plans;
}

void runCase(const Case& test, const Example& example, int device, Conv2dPass pass, const Conv2dMath& math) {
  struct Pass {
    const char* name;
    const Numbers &a, &b;
    const std::vector<double>& wanted;
  };
  const Pass passes[] = {{"forward", example.x, example.w, example.y},
                         {"data", example.dy, example.w, example.dx},
                         {"filter", example.x, example.dy, example.dw}};
  const auto& [name, a, b, wanted] = passes[static_cast<int>(pass)];
  simulator::current = device;
  const bool withBias = pass == Conv2dPass::Forward && test.shape.bias;
  for (const auto& plan : plansFor(device, pass, test.shape, math)) {
    Numbers out(static_cast<int64_t>(wanted.size()), [] { return NAN; });
    Numbers workspace(static_cast<int64_t>((plan->workspaceBytes() + 3) / 4));
    plan->run(handleOf(device), {a.data(), b.data(), withBias ? example.bias.data() : nullptr, out.data()},
              workspace.count() > 0 ? workspace.data() : nullptr);
    std::cout << "{\"case\":" << quoted(test.name) << ",\"pass\":\"" << name << "\",\"device\":" << device
              << ",\"tf32\":" << math.tf32 << ",\"engine\":" << quoted(plan->name())
              << ",\"workspace\":" << plan->workspaceBytes() << ",\"error\":" << errorOf(out, wanted)
              << ",\"whole\":" << (out.isWholeAround() && workspace.isWholeAround()) << "}\n";
  }
}

// ---- Misuse ----

/// Prints what was told and refused while `body` ran.
template <class Body>
void misuse(const char* name, Body body) {
  simulator::violations.clear();
  std::string error;
  try {
    body();
  } catch (const Error& failure) {
    error = failure.what();
  }
  std::cout << "{\"misuse\":" << quoted(name)
            << ",\"told\":" << quoted(simulator::violations.empty() ? "" : simulator::violations[0])
            << ",\"error\":" << quoted(error) << "}\n";
  simulator::violations.clear();
}

void misuses() {
  // A pass that needs a workspace on the first device.
  const Example example(kCases[3].shape);
  const auto plan = plansFor(0, Conv2dPass::Data, example.shape, {false, true, false}).front();
  const auto numbers = static_cast<int64_t>((plan->workspaceBytes() + 3) / 4);
  CHECK(numbers > 0, "Expected a workspace for ", plan->name());
  Numbers dx(example.x.count()), workspace(numbers), less(numbers - 1);
  const auto run = [&](const float* dy, float* out, void* memory, int device = 0) {
    plan->run(handleOf(device), {dy, example.w.data(), nullptr, out}, memory);
  };
  const float* dy = example.dy.data();
  simulator::current = 0;
  misuse("none", [&] { run(dy, dx.data(), workspace.data()); });
  misuse("another device's handle", [&] { run(dy, dx.data(), workspace.data(), 1); });
  misuse("another current device", [&] {
    simulator::current = 1;
    run(dy, dx.data(), workspace.data());
  });
  simulator::current = 0;
  misuse("a pointer of small alignment", [&] { run(dy + 1, dx.data(), workspace.data()); });
  misuse("a null pointer", [&] { run(nullptr, dx.data(), workspace.data()); });
  misuse("output over input", [&] { run(dy, const_cast<float*>(dy), workspace.data()); });
  misuse("beyond a block", [&] { run(dy + 4, dx.data(), workspace.data()); });
  misuse("a workspace too small", [&] { run(dy, dx.data(), less.data()); });
  misuse("no workspace", [&] { run(dy, dx.data(), nullptr); });
  misuse("a workspace over the output", [&] { run(dy, dx.data(), dx.data()); });

  cudnnBackendDescriptor_t tensor = nullptr;
  const int64_t number = 1;
  const auto check = [](cudnnStatus_t status) {
    if (status != CUDNN_STATUS_SUCCESS) throw Error(ErrorCode::Cuda, concat("status ", status));
  };
  check(cudnnBackendCreateDescriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR, &tensor));
  misuse("an attribute of another type", [&] {
    check(cudnnBackendSetAttribute(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_BOOLEAN, 1, &number));
  });
  misuse("too many elements", [&] {
    check(cudnnBackendSetAttribute(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 2, &number));
  });
  misuse("an unknown attribute", [&] {
    check(cudnnBackendSetAttribute(tensor, CUDNN_ATTR_TENSOR_VECTOR_COUNT, CUDNN_TYPE_INT64, 1, &number));
  });
  misuse("an incomplete descriptor", [&] { check(cudnnBackendFinalize(tensor)); });
  misuse("getting before finalizing", [&] {
    int64_t value = 0;
    check(
        cudnnBackendGetAttribute(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, nullptr, &value));
  });
  check(cudnnBackendDestroyDescriptor(tensor));
  misuse("a destroyed descriptor", [&] { check(cudnnBackendFinalize(tensor)); });
  misuse("destroying twice", [&] { check(cudnnBackendDestroyDescriptor(tensor)); });
}

/// Other strides than production's, alpha and beta.
void runStrides() {
  const Conv2dShape q = convolution(2, 6, 5, 4, 6, 3, 3, 1, 2, 1, 1, 1, 1, 2, false, false);
  const Example example(q);
  simulator::Operation op{};
  op.type = CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
  op.x = 1, op.w = 2, op.y = 3, op.alpha = 2, op.beta = -1;
  op.convolution = {q.n, q.h,  q.w,  q.groupC(), q.groupK(), q.groups, q.r,
                    q.s, q.oh, q.ow, {1, 1},     {1, 2},     {1, 1}};
  simulator::OperationGraph graph{0, {op}, {}};
  // x by planes, y with an element left out after each.
  graph.tensors[1].layout = {{q.n, q.c, q.h, q.w}, {q.c * q.h * q.w, q.h * q.w, q.w, 1}};
  graph.tensors[2].layout = {{q.k, q.groupC(), q.r, q.s}, {q.filter(), 1, q.s * q.groupC(), q.groupC()}};
  graph.tensors[3].layout = {{q.n, q.k, q.oh, q.ow}, {2 * q.oh * q.ow * q.k, 2, 2 * q.ow * q.k, 2 * q.k}};
  std::vector<float> x(static_cast<size_t>(example.x.count())),
      y(static_cast<size_t>(2 * example.dy.count()), 1);
  for (int64_t n = 0; n < q.n; ++n)
    for (int64_t i = 0; i < q.h * q.w; ++i)
      for (int64_t c = 0; c < q.c; ++c)
        x[static_cast<size_t>((n * q.c + c) * q.h * q.w + i)] = example.x[(n * q.h * q.w + i) * q.c + c];
  simulator::compute(graph, false, {{1, x.data()}, {2, const_cast<float*>(example.w.data())}, {3, y.data()}});
  double most = 0, error = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    const double wanted = i % 2 == 1 ? 1 : 2 * example.y[i / 2] - 1;
    most = std::max(most, std::abs(wanted));
    error = std::max(error, std::abs(y[i] - wanted));
  }
  std::cout << "{\"strides\":" << error / most << "}\n";
}

std::string contentOf(const std::string& path) {
  std::ifstream file(path);
  CHECK(file, "Expected a file but received ", path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

simulator::PlayedDevice deviceOf(const std::string& path) {
  const std::string json = contentOf(path);
  const size_t at = json.find("\"deviceVer\":");
  CHECK(at != std::string::npos, "Expected deviceVer in ", json);
  return {path, json, path, std::stoi(json.substr(at + 12)) / 10, 0};
}

void* open(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(dlerror());
  return library;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.at(0) == "real") {
    open(SIMULATOR_DRIVER);
    simulator::library = open(SIMULATOR_CUDNN);
  }
  for (size_t i = 1; i < arguments.size(); ++i) simulator::devices.push_back(deviceOf(arguments[i]));
  for (const Case& test : kCases) {
    const Example example(test.shape);
    for (size_t device = 0; device < simulator::devices.size(); ++device)
      for (Conv2dPass pass : {Conv2dPass::Forward, Conv2dPass::Data, Conv2dPass::Filter})
        for (bool tf32 : {false, true})
          runCase(test, example, static_cast<int>(device), pass, {tf32, !tf32, false});
  }
  for (const std::string& violation : simulator::violations) std::cerr << violation << '\n';
  runStrides();
  misuses();
  std::cout << "{\"left\":" << simulator::descriptors << "}\n";
  return 0;
}

}  // namespace
}  // namespace nodecudnn

int main(int count, char** values) {
  try {
    return nodecudnn::run({values + 1, values + count});
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
