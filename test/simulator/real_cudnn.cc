// The real cuDNN, as far as it works without a device.
#include <dlfcn.h>

#include "simulator/devices.h"

namespace simulator {

namespace {

void* open(const char* file) {
  void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) violation(std::string("the real cuDNN does not load: ") + dlerror());
  return library;
}

}  // namespace

void* realCudnn(const char* name) {
  static void* const library = [] {
    // cuDNN asks for libcuda.so.1, and takes what is loaded by that name.
    return isRealCudnnWanted() && open(SIMULATOR_DRIVER) != nullptr ? open(SIMULATOR_CUDNN) : nullptr;
  }();
  return library != nullptr ? dlsym(library, name) : nullptr;
}

}  // namespace simulator
