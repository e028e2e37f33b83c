#include <chrono>

#include "cuda/context.h"
#include "cuda/device_memory.h"

namespace nodecudnn {

Context::Context(int device, Allocator& allocator, Choices& choices)
    : device(device), choices(choices), allocator_(allocator) {}

Context::~Context() {
  if (!stream_) return;
  cudaStreamSynchronize(stream_.get());
  DeviceMemory::of(device).leave(stream_.get());
}

cudaStream_t Context::stream() {
  if (!stream_) {
    chooseDevice(device);
    OwnedStream stream = makeStream();
    DeviceMemory::of(device).join(stream.get());
    stream_ = std::move(stream);
  }
  return stream_.get();
}

cudnnHandle_t Context::cudnn() {
  if (!cudnn_) cudnn_ = makeCudnn(stream());
  return cudnn_.get();
}

cublasHandle_t Context::cublas() {
  if (!cublas_) {
    const cudaStream_t compute = stream();
    if (!cublasWorkspace_) cublasWorkspace_ = allocator_.allocate(kCublasWorkspaceBytes, Use::Workspace);
    cublas_ = makeCublas(compute, cublasWorkspace_->data());
  }
  return cublas_.get();
}

Transfers& Context::transfers() {
  if (!transfers_) transfers_.emplace(allocator_, stream());
  return *transfers_;
}

Crossings& Context::crossings() {
  if (!crossings_) crossings_.emplace(device, allocator_, stream());
  return *crossings_;
}

Fault* Context::fault() {
  if (!fault_) {
    const cudaStream_t compute = stream();
    auto block = allocator_.allocate(sizeof(Fault), Use::Workspace);
    CUDA_CHECK(cudaMemsetAsync(block->data(), 0, sizeof(Fault), compute));
    fault_ = std::move(block);
  }
  return static_cast<Fault*>(fault_->data());
}

void Context::checkFault() {
  if (!fault_) return;
  Fault fault{};
  transfers().download(&fault, fault_->data(), sizeof fault);
  if (fault.kind == Fault::kNone) return;
  CUDA_CHECK(cudaMemsetAsync(fault_->data(), 0, sizeof fault, stream()));
  const char* const ops[] = {
      "prepareImages", "softmaxCrossEntropy", "softmaxCrossEntropyBackward", "topKHits", "sgdStep",
      "adamStep"};
  const char* op = ops[fault.op];
  switch (fault.kind) {
    case Fault::kNotFinite:
      throw Error(ErrorCode::NotFinite,
                  "Expected finite weights after a step of the optimizer but received NaN or infinity", op);
    case Fault::kLabel:
      throw Error(ErrorCode::Argument,
                  concat("Expected label in [0, ", fault.limit, ") for labels[", fault.index,
                         "] but received ", fault.value),
                  op);
    default:
      throw Error(ErrorCode::Argument,
                  concat("Expected a crop within the image for crops[", fault.index,
                         "] but received one that reaches beyond it"),
                  op);
  }
}

void* Context::workspace(size_t bytes) {
  if (!workspace_ || workspace_->bytes() < bytes || Allocator::exact) {
    stream();
    workspace_.reset();
    workspace_ = allocator_.allocate(bytes, Use::Workspace);
  }
  return workspace_->data();
}

size_t Context::mark(cudaStream_t stream) {
  OwnedEvent event = makeTimingEvent();
  CUDA_CHECK(cudaEventRecord(event.get(), stream));
  marks_.push_back(std::move(event));
  return marks_.size() - 1;
}

std::vector<int64_t> Context::takeMarks() {
  if (crossings_) order(crossings_->stream(), stream());
  const OwnedEvent last = makeTimingEvent();
  CUDA_CHECK(cudaEventRecord(last.get(), stream()));
  CUDA_CHECK(cudaEventSynchronize(last.get()));
  const int64_t now = std::chrono::steady_clock::now().time_since_epoch().count();
  std::vector<int64_t> times;
  for (const OwnedEvent& mark : marks_) {
    float ms = 0;
    CUDA_CHECK(cudaEventElapsedTime(&ms, mark.get(), last.get()));
    times.push_back(now - static_cast<int64_t>(1e6 * ms));
  }
  marks_.clear();
  return times;
}

void Context::completed() {
  if (crossings_) crossings_->release();
  checkFault();
}

void ContextDeleter::operator()(Context* context) const { delete context; }

ContextPtr makeContext(int device, Allocator& allocator, Choices& choices) {
  return ContextPtr(std::make_unique<Context>(device, allocator, choices).release());
}

int deviceCount() {
  static const int found = [] {
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
  }();
  return found;
}

std::string deviceName(int device) { return concat("cuda:", device); }

void* allocateDeviceMemory(int device, size_t bytes) { return DeviceMemory::of(device).allocate(bytes); }
void freeDeviceMemory(int device, void* data, size_t) { DeviceMemory::of(device).release(data); }

void upload(Context& context, void* device, const void* host, size_t bytes) {
  context.transfers().upload(device, host, bytes);
}

void download(Context& context, void* host, const void* device, size_t bytes) {
  context.transfers().download(host, device, bytes);
  context.completed();
}

void finish(Context& context) {
  CUDA_CHECK(cudaStreamSynchronize(context.stream()));
  context.completed();
}

std::shared_ptr<const Point> markPoint(Context& context) {
  return std::make_shared<Point>(context.device, context.stream());
}

void follow(Context& context, const Point& point) { context.crossings().follow(point); }

void copyBetweenDevices(Context& context, int from, const std::shared_ptr<Block>& block, const Tensor& source,
                        Tensor& target) {
  context.crossings().copy(from, block, source.data, target.data, target.bytes());
}

size_t mark(Context& context) { return context.mark(context.stream()); }
size_t markCopies(Context& context) { return context.mark(context.crossings().stream()); }

std::vector<int64_t> takeMarks(Context& context) { return context.takeMarks(); }

std::string takeImplementation(Context& context) {
  const auto plan = std::exchange(context.lastPlan, nullptr);
  return plan ? plan->name() : "";
}

void forgetPlans(Context& context) { context.plans.clear(); }

void setOption(Context& context, const std::string& name, int64_t value) {
  const std::pair<const char*, bool Conv2dMath::*> options[] = {{"tf32", &Conv2dMath::tf32},
                                                                {"deterministic", &Conv2dMath::deterministic},
                                                                {"autotune", &Conv2dMath::autotune}};
  for (const auto& [option, member] : options)
    if (name == option) {
      context.math.*member = value != 0;
      return;
    }
  throw Error(
      ErrorCode::Argument,
      concat("Expected tf32, deterministic or autotune for option of a CUDA device but received ", name));
}

}  // namespace nodecudnn
