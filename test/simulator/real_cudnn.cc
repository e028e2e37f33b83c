// The real cuDNN, as far as it works without a device.
#include <dlfcn.h>

#include <cstdio>

#include "simulator/devices.h"

namespace simulator {

void* realCudnn(const char* name) {
  static void* const library = []() -> void* {
    if (!isRealCudnnWanted()) return nullptr;
    // cuDNN asks for libcuda.so.1, and takes what is loaded by that name.
    if (dlopen(SIMULATOR_DRIVER, RTLD_NOW | RTLD_GLOBAL) == nullptr) return nullptr;
    return dlopen(SIMULATOR_CUDNN, RTLD_NOW | RTLD_LOCAL);
  }();
  return library != nullptr ? dlsym(library, name) : nullptr;
}

}  // namespace simulator
