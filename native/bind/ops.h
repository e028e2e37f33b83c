#pragma once
#include <napi.h>

namespace nodecudnn {

/// Adds every operation of the contract to the addon.
void exportOps(Napi::Object exports);

}  // namespace nodecudnn
