#include "simulator/devices.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>

#include "simulator/memory.h"
#include "simulator/streams.h"

namespace simulator {
namespace {

struct Failing {
  uint64_t left;
  Fault fault;
  std::optional<int> device;  // Calls on others do not count.
};

/// From NODE_CUDNN_SIMULATOR, whose words are name=value:
///   seed=1 devices=h100,t4 fail=cudaMallocAsync:3:OutOfMemory fail=cublasSgemm:7:DeviceLost:1 cudnn=none
///   arithmetic=none peers=0,1
struct State {
  std::recursive_mutex mutex;
  std::vector<PlayedDevice> devices;
  std::set<int> lost;
  std::mt19937_64 random;
  std::map<std::string, uint64_t> calls;
  std::map<std::string, Failing> failing;
  std::vector<std::string> violations;
  std::map<std::string, int64_t> counts;
  size_t memoryLimit = SIZE_MAX;
  bool realCudnn = true;
  bool arithmetic = true;
  std::optional<std::set<int>> peers;

  State();
};

State& state() {
  static auto* const one = std::make_unique<State>().release();
  return *one;
}

thread_local int current = 0;

std::vector<std::string> split(const std::string& text, char divider) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, divider);)
    if (!part.empty()) parts.push_back(part);
  return parts;
}

/// What stands behind "name": in the file of a device.
std::string valueOf(const PlayedDevice& device, const std::string& name) {
  const size_t at = device.json.find("\"" + name + "\":");
  if (at == std::string::npos) throw std::runtime_error("Expected " + name + " in " + device.file);
  const size_t begin = device.json.find_first_not_of(" \"", at + name.size() + 3);
  return device.json.substr(begin, device.json.find_first_of(",\"\n", begin) - begin);
}

PlayedDevice play(const std::string& name) {
  PlayedDevice device;
  device.file = std::string(SIMULATOR_DEVICES) + "/" + name + ".json";
  std::ifstream file(device.file);
  if (!file) throw std::runtime_error("Expected a device's file but received " + device.file);
  device.json.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  device.model = valueOf(device, "deviceName");
  device.capability = std::stoi(valueOf(device, "deviceVer")) / 10;
  device.memoryBytes = std::stoull(valueOf(device, "totalGlobalMem"));
  return device;
}

Fault faultOf(const std::string& name) {
  if (name == "OutOfMemory") return Fault::OutOfMemory;
  if (name == "DeviceLost") return Fault::DeviceLost;
  if (name == "ExecutionFailed") return Fault::ExecutionFailed;
  throw std::runtime_error("Expected OutOfMemory, ExecutionFailed or DeviceLost but received " + name);
}

State::State() {
  const char* const settings = std::getenv("NODE_CUDNN_SIMULATOR");
  std::string devicesPlayed = "h100,h100";
  for (const std::string& word : split(settings != nullptr ? settings : "", ' ')) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals), value = word.substr(equals + 1);
    if (name == "seed") {
      random.seed(std::stoull(value));
    } else if (name == "devices") {
      devicesPlayed = value;
    } else if (name == "cudnn" && value == "none") {
      realCudnn = false;
    } else if (name == "arithmetic" && value == "none") {
      arithmetic = false;
    } else if (name == "peers") {
      peers.emplace();
      if (value != "none")
        for (const std::string& device : split(value, ',')) peers->insert(std::stoi(device));
    } else if (name == "fail" && split(value, ':').size() >= 3) {
      const auto parts = split(value, ':');
      failing[parts[0]] = {std::stoull(parts[1]), faultOf(parts[2]),
                           parts.size() > 3 ? std::optional(std::stoi(parts[3])) : std::nullopt};
    } else {
      throw std::runtime_error("Expected settings of the simulator but received " + word);
    }
  }
  for (const std::string& name : split(devicesPlayed, ',')) devices.push_back(play(name));
}

/// What the process leaves behind is told at its exit.
struct AtExit {
  ~AtExit() {
    const Lock lock(mutex());
    bool leaked = false;
    for (const auto& [kind, left] : counts()) {
      if (left == 0) continue;
      std::fprintf(stderr, "simulator: leaked: %s %lld\n", kind.c_str(), static_cast<long long>(left));
      leaked = true;
    }
    if (!leaked && violations().empty()) return;
    std::fflush(nullptr);
    std::_Exit(99);
  }
} atExit;

}  // namespace

std::recursive_mutex& mutex() { return state().mutex; }

int currentDevice() { return current; }
void setCurrentDevice(int device) { current = device; }
int playedDevices() { return static_cast<int>(state().devices.size()); }
const PlayedDevice& played(int device) { return state().devices.at(static_cast<size_t>(device)); }
bool isLost(int device) { return state().lost.count(device) > 0; }

void seed(uint64_t seed) { state().random.seed(seed); }
uint64_t draw(uint64_t limit) {
  const Lock lock(mutex());
  return state().random() % limit;
}

void violation(const std::string& what) {
  const Lock lock(mutex());
  std::fprintf(stderr, "simulator: violation: %s\n", what.c_str());
  state().violations.push_back(what);
}
const std::vector<std::string>& violations() { return state().violations; }

void count(const char* kind, int change) {
  const Lock lock(mutex());
  state().counts[kind] += change;
}
const std::map<std::string, int64_t>& counts() { return state().counts; }

void failAt(const std::string& name, uint64_t nth, Fault fault) {
  const Lock lock(mutex());
  state().failing[name] = {nth, fault, std::nullopt};
}
void limitMemory(size_t bytes) {
  const Lock lock(mutex());
  state().memoryLimit = bytes;
}
size_t memoryOf(int device) { return std::min(state().memoryLimit, played(device).memoryBytes); }

const std::map<std::string, uint64_t>& calls() { return state().calls; }

std::optional<Fault> injected(const char* name) { return injected(name, current); }
std::optional<Fault> injected(const char* name, int device) {
  const Lock lock(mutex());
  ++state().calls[name];
  const auto found = state().failing.find(name);
  const bool fails = found != state().failing.end() && found->second.device.value_or(device) == device &&
                     found->second.left > 0 && --found->second.left == 0;
  if (fails && found->second.fault == Fault::DeviceLost) {
    state().lost.insert(device);
    dropWork(device);
    count("memory", -loseBlocks(device));
  }
  if (isLost(device)) return Fault::DeviceLost;
  return fails ? std::optional(found->second.fault) : std::nullopt;
}

cudaError_t cudaStatus(Fault fault) {
  switch (fault) {
    case Fault::OutOfMemory:
      return cudaErrorMemoryAllocation;
    case Fault::ExecutionFailed:
      return cudaErrorLaunchOutOfResources;
    default:
      return cudaErrorLaunchFailure;
  }
}
cudnnStatus_t cudnnStatus(Fault fault) {
  switch (fault) {
    case Fault::OutOfMemory:
      return CUDNN_STATUS_ALLOC_FAILED;
    case Fault::ExecutionFailed:
      return CUDNN_STATUS_EXECUTION_FAILED;
    default:
      return CUDNN_STATUS_INTERNAL_ERROR;
  }
}
cublasStatus_t cublasStatus(Fault fault) {
  switch (fault) {
    case Fault::OutOfMemory:
      return CUBLAS_STATUS_ALLOC_FAILED;
    case Fault::ExecutionFailed:
      return CUBLAS_STATUS_EXECUTION_FAILED;
    default:
      return CUBLAS_STATUS_INTERNAL_ERROR;
  }
}

bool arePeers(int device, int other) {
  const auto& peers = state().peers;
  return !peers || (peers->count(device) > 0 && peers->count(other) > 0);
}

bool computes() { return state().arithmetic; }

bool isRealCudnnWanted() { return state().realCudnn && access(SIMULATOR_CUDNN, R_OK) == 0; }

}  // namespace simulator
