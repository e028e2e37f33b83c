// strict: breaks the simulator's rules one after the other. Each line of the output is a rule, and what was
// told of it, or nothing. With an argument it does what that says, and ends: `touch` reads device memory,
// `leak` leaves one of each kind.
#include <cstring>
#include <iostream>

#include "cuda/kernels.cuh"
#include "cuda/owned.h"
#include "simulator/devices.h"

namespace nodecudnn {
namespace {

constexpr size_t kBytes = 1024;

float* allocate(cudaStream_t stream, size_t bytes = kBytes) {
  void* data = nullptr;
  CUDA_CHECK(cudaMallocAsync(&data, bytes, stream));
  return static_cast<float*>(data);
}
void* pinned() {
  void* data = nullptr;
  CUDA_CHECK(cudaHostAlloc(&data, kBytes, cudaHostAllocDefault));
  return data;
}

/// Memory of two streams of device 0, which both know of; pinned memory; a stream of device 1.
struct Scene {
  OwnedStream a = makeStream(), b = makeStream();
  float *x = allocate(a.get()), *y = allocate(a.get());
  Owned<void*, cudaFreeHost> host{pinned()};
  OwnedStream other;

  Scene() {
    order(a.get(), b.get());
    const CurrentDevice second(1);
    other = makeStream();
  }
  ~Scene() {
    for (cudaStream_t stream : {a.get(), b.get()}) cudaStreamSynchronize(stream);
    order(b.get(), a.get());
    for (float* data : {x, y}) cudaFreeAsync(data, a.get());
    cudaStreamSynchronize(a.get());
  }
  void fill(cudaStream_t stream, float* data, size_t bytes = kBytes) {
    cudaMemsetAsync(data, 0, bytes, stream);
  }
  void toHost(cudaStream_t stream, const float* data) {
    cudaMemcpyAsync(host.get(), data, kBytes, cudaMemcpyDeviceToHost, stream);
  }
};

/// Prints what `run` makes the simulator tell: one line, without what differs from run to run.
template <class Run>
void rule(const char* name, Run run) {
  const size_t before = simulator::violations().size();
  {
    Scene scene;
    run(scene);
    cudaGetLastError();  // Or the next launch of a kernel finds it.
  }
  std::cout << name << '\t';
  const auto& told = simulator::violations();
  std::cout << (told.size() > before ? told[before] : "") << '\n';
}

void breakRules() {
  rule("nothing", [](Scene& s) {
    s.fill(s.a.get(), s.x);
    order(s.a.get(), s.b.get());
    kernels::relu(s.b.get(), kBytes / 4, s.x, s.y);
    s.toHost(s.b.get(), s.y);
  });
  rule("two writes", [](Scene& s) {
    s.fill(s.a.get(), s.x);
    s.fill(s.b.get(), s.x);
  });
  rule("a kernel that writes while a copy reads", [](Scene& s) {
    s.toHost(s.b.get(), s.y);
    kernels::fill(s.a.get(), kBytes / 4, 1.0f, s.y);
  });
  rule("two kernels that read", [](Scene& s) {
    s.fill(s.a.get(), s.x);
    order(s.a.get(), s.b.get());
    kernels::relu(s.a.get(), kBytes / 4, s.x, s.y);
    float* z = allocate(s.b.get());
    kernels::relu(s.b.get(), kBytes / 4, s.x, z);
    CUDA_CHECK(cudaFreeAsync(z, s.b.get()));
  });
  rule("an event that was recorded too early", [](Scene& s) {
    const OwnedEvent event = makeEvent();
    cudaEventRecord(event.get(), s.a.get());
    s.fill(s.a.get(), s.x);
    cudaStreamWaitEvent(s.b.get(), event.get(), 0);
    s.toHost(s.b.get(), s.x);
  });
  rule("memory before its allocation", [](Scene& s) {
    float* z = allocate(s.a.get());
    s.fill(s.b.get(), z);
    order(s.b.get(), s.a.get());
    cudaFreeAsync(z, s.a.get());
  });
  rule("a free before a use", [](Scene& s) {
    float* z = allocate(s.a.get());
    order(s.a.get(), s.b.get());
    s.fill(s.b.get(), z);
    cudaFreeAsync(z, s.a.get());
  });
  rule("a use after a free", [](Scene& s) {
    float* z = allocate(s.a.get());
    cudaFreeAsync(z, s.a.get());
    kernels::fill(s.a.get(), 1, 1.0f, z);
  });
  rule("a second free", [](Scene& s) {
    float* z = allocate(s.a.get());
    cudaFreeAsync(z, s.a.get());
    cudaFreeAsync(z, s.a.get());
  });
  rule("a free of a part", [](Scene& s) { cudaFreeAsync(s.x + 1, s.a.get()); });
  rule("a copy beyond the end", [](Scene& s) { s.fill(s.a.get(), s.x, kBytes + 1); });
  rule("a kernel beyond the end", [](Scene& s) { kernels::fill(s.a.get(), kBytes / 4 + 1, 1.0f, s.x); });
  rule("a pointer of the host's", [](Scene& s) {
    float local = 0;
    s.fill(s.a.get(), &local, sizeof local);
  });
  rule("memory of another device", [](Scene& s) {
    const CurrentDevice second(1);
    s.fill(s.other.get(), s.x);
  });
  rule("a kernel on another device's stream", [](Scene& s) { kernels::fill(s.other.get(), 1, 1.0f, s.x); });
  rule("a copy in the wrong direction",
       [](Scene& s) { cudaMemcpyAsync(s.x, s.host.get(), kBytes, cudaMemcpyDeviceToDevice, s.a.get()); });
  rule("host memory that is not pinned", [](Scene& s) {
    char local[8] = "";
    cudaMemcpyAsync(s.x, local, sizeof local, cudaMemcpyHostToDevice, s.a.get());
  });
  rule("host memory that changes before it was copied", [](Scene& s) {
    cudaMemcpyAsync(s.x, s.host.get(), kBytes, cudaMemcpyHostToDevice, s.a.get());
    std::memset(s.host.get(), 7, kBytes);
  });
  rule("pinned memory that is freed before it was copied", [](Scene& s) {
    void* const data = pinned();
    cudaMemcpyAsync(s.x, data, kBytes, cudaMemcpyHostToDevice, s.a.get());
    cudaFreeHost(data);
    cudaStreamSynchronize(s.a.get());
    cudaFreeHost(data);
  });
  rule("a stream that was destroyed", [](Scene& s) {
    cudaStream_t gone = makeStream().get();
    s.fill(gone, s.x);
  });
  rule("an event that was destroyed", [](Scene& s) {
    cudaEvent_t gone = makeEvent().get();
    cudaEventRecord(gone, s.a.get());
  });
  rule("an event of another device", [](Scene& s) {
    const OwnedEvent event = makeEvent();
    cudaEventRecord(event.get(), s.other.get());
  });
  rule("the time between events that keep none", [](Scene& s) {
    const OwnedEvent event = makeEvent();
    cudaEventRecord(event.get(), s.a.get());
    float ms = 0;
    cudaEventElapsedTime(&ms, event.get(), event.get());
  });
  rule("a stream that waits for the null stream", [](Scene&) {
    cudaStream_t stream = nullptr;
    cudaStreamCreateWithFlags(&stream, cudaStreamDefault);
  });
  rule("no bytes", [](Scene& s) {
    void* data = nullptr;
    cudaMallocAsync(&data, 0, s.a.get());
  });
}

/// What the host and later work see, as a line each.
void tellWhatIsThere() {
  Scene s;
  auto* const host = static_cast<const uint8_t*>(s.host.get());
  s.toHost(s.a.get(), s.x);
  cudaStreamSynchronize(s.a.get());
  std::cout << "memory that nobody wrote\t" << int{host[0]} << '\n';
  s.fill(s.a.get(), s.x);
  s.toHost(s.a.get(), s.x);
  std::cout << "a copy to the host before it was waited for\t" << int{host[0]} << '\n';
  cudaStreamSynchronize(s.a.get());
  std::cout << "after\t" << int{host[0]} << '\n';
  void* data = nullptr;
  const size_t all = simulator::played(0).memoryBytes;
  std::cout << "more memory than the device has\t" << cudaGetErrorName(cudaMallocAsync(&data, all, s.a.get()))
            << '\n';
  cudaGetLastError();
}

void leak() {
  const Scene* const scene = std::make_unique<Scene>().release();
  makeEvent().release();
  static_cast<void>(scene);
}

int run(const std::string& what) {
  chooseDevice(0);
  if (what == "touch") return static_cast<int>(*Scene().x);
  if (what == "leak") {
    leak();
    return 0;
  }
  tellWhatIsThere();
  breakRules();
  return 0;
}

}  // namespace
}  // namespace nodecudnn

int main(int argc, char** argv) { return nodecudnn::run(argc > 1 ? argv[1] : ""); }
