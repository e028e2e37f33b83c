#pragma once
#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cudnn.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

/// A CPU stand-in for what the backend calls of cudart, cuBLAS and cuDNN, for tests only. Work is put into
/// streams and runs late, at synchronisation, in a random order that the streams and events allow. Misuse is
/// told, and does not run.
///
/// Invariant: addresses of device memory are never readable by the host. Work reads and writes the same
/// memory where `onHost` finds it.
namespace simulator {

/// What a piece of work reads or writes of device memory.
struct Range {
  const void* data;
  size_t bytes;
  bool written;
};

/// Puts work into a stream; a null stream is the current device's own. The ranges are checked when it is
/// enqueued (memory of the stream's device, within one block, allocated and not freed in the stream's order,
/// no conflict with an access that neither the stream nor an event orders) and when it runs (still not
/// freed). Work on which a violation was told never runs.
void enqueue(cudaStream_t stream, const std::string& what, const std::vector<Range>& ranges,
             std::function<void()> work);

/// In work only: where the host finds that device memory. Other addresses, and null, stay as they are.
void* hostAddress(const void* device);
template <class T>
T* onHost(T* device) {
  return static_cast<T*>(hostAddress(device));
}

/// Misuse: printed at once, counted, and told by `violations()`; with one the process's exit status is not 0.
void violation(const std::string& what);

/// How a call may be told to fail. A lost device fails every later call on it.
enum class Fault { OutOfMemory, ExecutionFailed, DeviceLost };
/// Counts this call of `name`, and says whether it fails, on the current device or on that one. To be asked
/// first in each simulated call but those that destroy.
std::optional<Fault> injected(const char* name);
std::optional<Fault> injected(const char* name, int device);
cudaError_t cudaStatus(Fault fault);
cudnnStatus_t cudnnStatus(Fault fault);
cublasStatus_t cublasStatus(Fault fault);

/// A refusal of cuDNN's: what cudnnGetLastErrorString will say, and the status again.
cudnnStatus_t refuse(cudnnStatus_t status, const std::string& why);

/// The device of the calling thread, of a stream, and of cuDNN's handle; and the handle's stream. For what is
/// no live stream or handle they tell a violation, and give 0 and null.
int currentDevice();
int deviceOf(cudaStream_t stream);
int deviceOf(cudnnHandle_t handle);
cudaStream_t streamOf(cudnnHandle_t handle);

/// A device that is played: one of test/cuda/devices/*.json.
struct PlayedDevice {
  std::string file;   // Its path.
  std::string json;   // What is in it, as cuDNN's device properties take it.
  std::string model;  // "NVIDIA H100 80GB HBM3"
  int capability;     // 90
  size_t memoryBytes;
};
int playedDevices();
const PlayedDevice& played(int device);

/// Kept to the exit: created +1, destroyed −1, by kind ("descriptor", "event", …). What is not 0 then leaked.
void count(const char* kind, int change);

/// A function of the real libcudnn, or null where that is not on this machine.
void* realCudnn(const char* name);

/// A number that the seed decides, in [0, limit).
uint64_t draw(uint64_t limit);

}  // namespace simulator
