#pragma once
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "simulator/simulator.h"

/// The devices that are played, and what is told of calls.
namespace simulator {

/// Held in every simulated call, and while work runs.
std::recursive_mutex& mutex();
using Lock = std::lock_guard<std::recursive_mutex>;

void setCurrentDevice(int device);
bool isLost(int device);
/// Whether the launch of a kernel on it may go on; otherwise cudaGetLastError tells why not.
bool isLaunched(int device);
/// Whether it is on this machine, and NODE_CUDNN_SIMULATOR does not say cudnn=none.
bool isRealCudnnWanted();
/// Whether two devices can reach each other's memory: all do, or those that NODE_CUDNN_SIMULATOR names.
bool arePeers(int device, int other);
/// Whether work is done that computes; with arithmetic=none only copies and fills are, and launches are not
/// checked.
bool computes();

/// The next numbers that `draw` gives follow from it.
void seed(uint64_t seed);
/// The `nth` call of that name from now on fails; 0: none does.
void failAt(const std::string& name, uint64_t nth, Fault fault);
/// So much memory each device has from now on, or what the played one has.
void limitMemory(size_t bytes);
size_t memoryOf(int device);
/// How often each was called.
const std::map<std::string, uint64_t>& calls();
const std::vector<std::string>& violations();
const std::map<std::string, int64_t>& counts();

}  // namespace simulator
