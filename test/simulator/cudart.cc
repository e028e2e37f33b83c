// What the backend calls of CUDA's runtime.
#include <cuda_runtime.h>

#include <cstdlib>
#include <cstring>
#include <set>

#include "simulator/devices.h"
#include "simulator/streams.h"

namespace simulator {
namespace {

using Mode = Access::Mode;

thread_local cudaError_t lastError = cudaSuccess;

/// What a call returns where it fails; cudaGetLastError tells it again.
cudaError_t fail(cudaError_t status) { return lastError = status; }
cudaError_t misuse(cudaError_t status, const std::string& what) {
  violation(what);
  return fail(status);
}

/// A call that may be told to fail, on that device.
template <class Call>
cudaError_t callOn(int device, const char* name, Call call) {
  const Lock lock(mutex());
  if (const auto fault = injected(name, device)) return fail(cudaStatus(*fault));
  return call();
}
template <class Call>
cudaError_t callOn(cudaStream_t handle, const char* name, Call call) {
  const Lock lock(mutex());
  Stream* const stream = findStream(handle, name);
  if (stream == nullptr) return fail(cudaErrorInvalidResourceHandle);
  return callOn(stream->device, name, [&] { return call(*stream); });
}

/// A call that ends a resource: it does so on a lost device too.
cudaError_t ended(int device, const char* kind) {
  count(kind, -1);
  return isLost(device) ? fail(cudaStatus(Fault::DeviceLost)) : cudaSuccess;
}

bool isDevice(int device) { return device >= 0 && device < playedDevices(); }

/// Which device may read and write the memory of which other.
std::set<std::pair<int, int>>& reached() {
  static auto* const all = std::make_unique<std::set<std::pair<int, int>>>().release();
  return *all;
}

cudaError_t createEventOf(cudaEvent_t* event, bool timed, const char* name) {
  return callOn(currentDevice(), name, [&] {
    *event = reinterpret_cast<cudaEvent_t>(createEvent(currentDevice(), timed));
    count("event", 1);
    return cudaSuccess;
  });
}

/// Of a piece that the host wrote: its sum if the host alone has touched it since.
struct Untouched {
  const void* data;
  size_t bytes;
  bool known;
  uint64_t sum;

  Untouched(const void* data, size_t bytes)
      : data(data), bytes(bytes), known(!isPending(data, bytes)), sum(known ? checksum(data, bytes) : 0) {}
  void check(const char* what) const {
    if (known && checksum(data, bytes) != sum)
      violation(std::string("host race: the host touches pinned memory before ") + what +
                " of it has completed");
  }
};

cudaError_t copy(Stream& stream, void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const int device = stream.device;
  switch (kind) {
    case cudaMemcpyHostToDevice: {
      const Untouched host(from, bytes);
      put(stream, "a copy to the device",
          {{from, bytes, Mode::Read, kPinned}, {to, bytes, Mode::Write, device}}, [=] {
            host.check("a copy to the device");
            std::memcpy(onHost(to), from, bytes);
          });
      return cudaSuccess;
    }
    case cudaMemcpyDeviceToHost: {
      // The host finds nothing there before it has waited.
      const Block* const block = findBlock(to);
      if (block != nullptr && block->device == kPinned && !isPending(to, bytes) &&
          reinterpret_cast<uintptr_t>(to) + bytes <= block->end())
        std::memset(to, kPoison, bytes);
      const Untouched host(to, block != nullptr ? bytes : 0);
      put(stream, "a copy to the host",
          {{from, bytes, Mode::Read, device}, {to, bytes, Mode::Write, kPinned}}, [=] {
            host.check("a copy to the host");
            std::memcpy(to, onHost(from), bytes);
          });
      return cudaSuccess;
    }
    case cudaMemcpyDeviceToDevice:
      put(stream, "a copy on the device",
          {{from, bytes, Mode::Read, device}, {to, bytes, Mode::Write, device}},
          [=] { std::memcpy(onHost(to), onHost(from), bytes); });
      return cudaSuccess;
    default:
      return misuse(cudaErrorInvalidMemcpyDirection,
                    "cudaMemcpyAsync: no kind of copy that the backend uses");
  }
}

}  // namespace

bool isLaunched(int device) {
  const auto fault = injected("cudaLaunchKernel", device);
  if (fault) fail(cudaStatus(*fault));
  return !fault;
}

}  // namespace simulator

using namespace simulator;

extern "C" {

const char* cudaGetErrorName(cudaError_t status) {
  switch (status) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorLaunchOutOfResources:
      return "cudaErrorLaunchOutOfResources";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorInvalidResourceHandle:
      return "cudaErrorInvalidResourceHandle";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    case cudaErrorInvalidMemcpyDirection:
      return "cudaErrorInvalidMemcpyDirection";
    default:
      return "cudaErrorInvalidValue";
  }
}
const char* cudaGetErrorString(cudaError_t status) {
  return status == cudaSuccess ? "no error" : "told by the simulator";
}
cudaError_t cudaGetLastError() {
  const cudaError_t last = lastError;
  const Lock lock(mutex());
  lastError = isLost(currentDevice()) ? cudaStatus(Fault::DeviceLost) : cudaSuccess;
  return last;
}

// ---- Devices ----

cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
/// There is no driver, and cudnn-frontend does without.
cudaError_t cudaGetDriverEntryPointByVersion(const char*, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  *function = nullptr;
  *result = cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  return callOn(currentDevice(), "cudaGetDeviceCount", [&] {
    *count = playedDevices();
    return cudaSuccess;
  });
}
cudaError_t cudaGetDevice(int* device) {
  *device = currentDevice();
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (!isDevice(device)) return fail(cudaErrorInvalidDevice);
  return callOn(device, "cudaSetDevice", [&] {
    setCurrentDevice(device);
    return cudaSuccess;
  });
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (!isDevice(device)) return fail(cudaErrorInvalidDevice);
  return callOn(device, "cudaGetDeviceProperties", [&] {
    const PlayedDevice& p = played(device);
    *properties = {};
    p.model.copy(properties->name, sizeof properties->name - 1);
    properties->major = p.capability / 10;
    properties->minor = p.capability % 10;
    properties->totalGlobalMem = p.memoryBytes;
    return cudaSuccess;
  });
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (!isDevice(device)) return fail(cudaErrorInvalidDevice);
  if (attribute != cudaDevAttrComputeCapabilityMajor && attribute != cudaDevAttrComputeCapabilityMinor)
    return misuse(cudaErrorInvalidValue, "not simulated: another attribute of a device than its capability");
  return callOn(device, "cudaDeviceGetAttribute", [&] {
    const int capability = played(device).capability;
    *value = attribute == cudaDevAttrComputeCapabilityMajor ? capability / 10 : capability % 10;
    return cudaSuccess;
  });
}
cudaError_t cudaDeviceCanAccessPeer(int* possible, int device, int peer) {
  if (!isDevice(device) || !isDevice(peer) || device == peer) return fail(cudaErrorInvalidDevice);
  return callOn(device, "cudaDeviceCanAccessPeer", [&] {
    *possible = arePeers(device, peer) ? 1 : 0;
    return cudaSuccess;
  });
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  if (!isDevice(device)) return fail(cudaErrorInvalidDevice);
  return callOn(device, "cudaDeviceGetDefaultMemPool", [&] {
    *pool = reinterpret_cast<cudaMemPool_t>(static_cast<intptr_t>(device) + 1);
    return cudaSuccess;
  });
}
cudaError_t cudaMemPoolSetAccess(cudaMemPool_t pool, const cudaMemAccessDesc* access, size_t count) {
  const int device = static_cast<int>(reinterpret_cast<intptr_t>(pool) - 1);
  if (!isDevice(device)) return misuse(cudaErrorInvalidValue, "cudaMemPoolSetAccess: no pool");
  return callOn(device, "cudaMemPoolSetAccess", [&] {
    for (size_t i = 0; i < count; ++i) {
      const int other = access[i].location.id;
      if (access[i].location.type != cudaMemLocationTypeDevice || !isDevice(other) || other == device)
        return misuse(cudaErrorInvalidValue, "cudaMemPoolSetAccess: no other device");
      if (!arePeers(device, other))
        return misuse(cudaErrorInvalidDevice,
                      "cudaMemPoolSetAccess: device " + std::to_string(other) + " cannot reach it");
      reached().emplace(other, device);
    }
    return cudaSuccess;
  });
}

// ---- Streams ----

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return callOn(currentDevice(), "cudaStreamCreateWithFlags", [&] {
    if (flags != cudaStreamNonBlocking)
      return misuse(cudaErrorInvalidValue,
                    "cudaStreamCreateWithFlags: a stream that waits for the null stream");
    *stream = reinterpret_cast<cudaStream_t>(createStream(currentDevice()));
    count("stream", 1);
    return cudaSuccess;
  });
}
cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  const Lock lock(mutex());
  Stream* const stream = findStream(handle, "cudaStreamDestroy");
  if (stream == nullptr || handle == nullptr) return fail(cudaErrorInvalidResourceHandle);
  stream->destroyed = true;  // What is in it runs all the same.
  return ended(stream->device, "stream");
}
cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return callOn(handle, "cudaStreamSynchronize", [](Stream& stream) {
    synchronize(pointOf(stream));
    return cudaSuccess;
  });
}
cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  return callOn(handle, "cudaStreamWaitEvent", [&](Stream& stream) {
    const Event* const found = findEvent(event, "cudaStreamWaitEvent");
    if (found == nullptr) return fail(cudaErrorInvalidResourceHandle);
    waitFor(stream, found->recorded);
    return cudaSuccess;
  });
}

/// No stream is captured.
#if CUDART_VERSION >= 13000
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t, cudaStreamCaptureStatus* status, unsigned long long*,
                                     cudaGraph_t*, const cudaGraphNode_t**, const cudaGraphEdgeData**,
                                     size_t*) {
#else
cudaError_t cudaStreamGetCaptureInfo_v2(cudaStream_t, cudaStreamCaptureStatus* status, unsigned long long*,
                                        cudaGraph_t*, const cudaGraphNode_t**, size_t*) {
#endif
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

// ---- Events ----

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return createEventOf(event, (flags & cudaEventDisableTiming) == 0, "cudaEventCreateWithFlags");
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return createEventOf(event, true, "cudaEventCreate"); }
cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  const Lock lock(mutex());
  Event* const event = findEvent(handle, "cudaEventDestroy");
  if (event == nullptr) return fail(cudaErrorInvalidResourceHandle);
  event->destroyed = true;
  return ended(event->device, "event");
}
cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream) {
  return callOn(stream, "cudaEventRecord", [&](const Stream& recorded) {
    Event* const event = findEvent(handle, "cudaEventRecord");
    if (event == nullptr) return fail(cudaErrorInvalidResourceHandle);
    if (event->device != recorded.device)
      return misuse(cudaErrorInvalidResourceHandle, "cudaEventRecord: an event of another device");
    event->recorded = pointOf(recorded);
    return cudaSuccess;
  });
}
cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  const Lock lock(mutex());
  const Event* const event = findEvent(handle, "cudaEventSynchronize");
  if (event == nullptr) return fail(cudaErrorInvalidResourceHandle);
  return callOn(event->device, "cudaEventSynchronize", [&] {
    synchronize(event->recorded);
    return cudaSuccess;
  });
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Lock lock(mutex());
  const Event* const found = findEvent(event, "cudaEventQuery");
  if (found == nullptr) return fail(cudaErrorInvalidResourceHandle);
  return callOn(found->device, "cudaEventQuery",
                [&] { return hasPassed(found->recorded) ? cudaSuccess : fail(cudaErrorNotReady); });
}
/// Some time: between 10 µs and 1 ms.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t first, cudaEvent_t second) {
  const Lock lock(mutex());
  const Event* const from = findEvent(first, "cudaEventElapsedTime");
  const Event* const to = findEvent(second, "cudaEventElapsedTime");
  if (from == nullptr || to == nullptr) return fail(cudaErrorInvalidResourceHandle);
  return callOn(from->device, "cudaEventElapsedTime", [&] {
    if (!from->timed || !to->timed || from->device != to->device || from->recorded.stream == nullptr ||
        to->recorded.stream == nullptr)
      return misuse(cudaErrorInvalidResourceHandle,
                    "cudaEventElapsedTime: events without times, or not recorded on one device");
    if (!hasPassed(from->recorded) || !hasPassed(to->recorded)) return fail(cudaErrorNotReady);
    *milliseconds = static_cast<float>(10 + draw(990)) / 1000;
    return cudaSuccess;
  });
}

// ---- Memory ----

cudaError_t cudaMallocAsync(void** data, size_t bytes, cudaStream_t handle) {
  return callOn(handle, "cudaMallocAsync", [&](Stream& stream) {
    if (bytes == 0) return misuse(cudaErrorInvalidValue, "cudaMallocAsync: no bytes");
    const Block* block = allocateBlock(stream.device, bytes);
    if (block == nullptr) {
      synchronize(pointOf(stream));  // The pool waits for memory that was freed in its order.
      block = allocateBlock(stream.device, bytes);
    }
    if (block == nullptr) return fail(cudaErrorMemoryAllocation);
    *data = reinterpret_cast<void*>(block->begin);
    put(stream, "an allocation", {{*data, bytes, Mode::Allocate, stream.device}}, [] {});
    count("memory", 1);
    return cudaSuccess;
  });
}
cudaError_t cudaFreeAsync(void* data, cudaStream_t handle) {
  return callOn(handle, "cudaFreeAsync", [&](Stream& stream) {
    Block* const block = findBlock(data);
    if (block == nullptr || block->freeing || block->begin != reinterpret_cast<uintptr_t>(data) ||
        block->device == kPinned)
      return misuse(cudaErrorInvalidValue, "cudaFreeAsync: not the beginning of memory that is allocated");
    count("memory", -1);
    const bool isRight = put(stream, "a free", {{data, block->bytes, Mode::Free, block->device}},
                             [block] { freeBlock(*block); });
    block->freeing = true;
    block->freedBy = "cudaFreeAsync on stream " + std::to_string(stream.number);
    return isRight ? cudaSuccess : fail(cudaErrorInvalidValue);
  });
}
cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) {
  return callOn(currentDevice(), "cudaHostAlloc", [&] {
    *data = std::malloc(bytes);
    if (*data == nullptr) return fail(cudaErrorMemoryAllocation);
    std::memset(*data, kPoison, bytes);
    adoptPinned(*data, bytes);
    count("pinned memory", 1);
    return cudaSuccess;
  });
}
cudaError_t cudaFreeHost(void* data) {
  const Lock lock(mutex());
  Block* const block = findBlock(data);
  if (block == nullptr || block->device != kPinned)
    return misuse(cudaErrorInvalidValue, "cudaFreeHost: no pinned memory");
  if (isPending(data, block->bytes))
    return misuse(cudaErrorInvalidValue, "use after free: cudaFreeHost of memory that a copy will touch");
  dropPinned(*block);
  std::free(data);
  return ended(currentDevice(), "pinned memory");
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t handle) {
  return callOn(handle, "cudaMemcpyAsync",
                [&](Stream& stream) { return copy(stream, to, from, bytes, kind); });
}
cudaError_t cudaMemcpyPeerAsync(void* to, int toDevice, const void* from, int fromDevice, size_t bytes,
                                cudaStream_t handle) {
  return callOn(handle, "cudaMemcpyPeerAsync", [&](Stream& stream) {
    for (const int device : {fromDevice, toDevice}) {
      if (isLost(device)) return fail(cudaStatus(Fault::DeviceLost));
      if (device != stream.device && reached().count({stream.device, device}) == 0)
        return misuse(cudaErrorInvalidValue, "no access: cudaMemcpyPeerAsync on device " +
                                                 std::to_string(stream.device) + " of memory of device " +
                                                 std::to_string(device));
    }
    put(stream, "a copy between devices",
        {{from, bytes, Mode::Read, fromDevice}, {to, bytes, Mode::Write, toDevice}},
        [=] { std::memcpy(onHost(to), onHost(from), bytes); });
    return cudaSuccess;
  });
}
cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t handle) {
  return callOn(handle, "cudaMemsetAsync", [&](Stream& stream) {
    put(stream, "a fill", {{data, bytes, Mode::Write, stream.device}},
        [=] { std::memset(onHost(data), value, bytes); });
    return cudaSuccess;
  });
}

}  // extern "C"
