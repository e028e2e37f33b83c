#include "cuda/context.h"

namespace nodecudnn {
namespace {

/// 13050 is 13.5.
std::string cudaVersion(int version) { return concat(version / 1000, '.', version % 1000 / 10); }

/// 92801 is 9.28.1.
std::string cudnnVersion(size_t version) {
  return concat(version / 10000, '.', version % 10000 / 100, '.', version % 100);
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
  return facts;
}

}  // namespace nodecudnn
