#include "cuda/context.h"

namespace nodecudnn {
namespace {

/// 13050 is 13.5.
std::string cudaVersion(int version) { return concat(version / 1000, '.', version % 1000 / 10); }

/// 92801 is 9.28.1.
std::string cudnnVersion(size_t version) {
  return concat(version / 10000, '.', version % 10000 / 100, '.', version % 100);
}

bool canReach(int device, int other) {
  int possible = 0;
  if (cudaDeviceCanAccessPeer(&possible, device, other) == cudaSuccess) return possible != 0;
  cudaGetLastError();
  return false;
}

/// The pairs of devices that reach each other's memory: 0-1,0-2
std::string describePeers() {
  std::string pairs;
  for (int device = 0; device < deviceCount(); ++device)
    for (int other = device + 1; other < deviceCount(); ++other)
      if (canReach(device, other) && canReach(other, device))
        pairs += concat(pairs.empty() ? "" : ",", device, '-', other);
  return pairs;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> describeBackend() {
  int driver = 0;
  cudaDriverGetVersion(&driver);
  std::vector<std::pair<std::string, std::string>> facts{{"cuda", cudaVersion(CUDART_VERSION)},
                                                         {"driver", driver == 0 ? "0" : cudaVersion(driver)},
                                                         {"cudnn", cudnnVersion(cudnnGetVersion())},
                                                         {"cudnnBuilt", cudnnVersion(CUDNN_VERSION)}};
  for (int device = 0; device < deviceCount(); ++device) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, device) != cudaSuccess) continue;
    facts.emplace_back(concat("device", device),
                       concat(properties.name, ", ", properties.major, '.', properties.minor));
  }
  facts.emplace_back("peers", describePeers());
  return facts;
}

}  // namespace nodecudnn
