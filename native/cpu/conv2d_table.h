#pragma once
#include <string>
#include <vector>

#include "cpu/conv2d.h"

namespace nodecudnn {

/// The implementation that serves a shape: by the committed table, or `forced` (its name; empty: the table)
/// where that supports the shape.
const Conv2dImplementation& chooseConv2d(Isa isa, Conv2dPass pass, const Conv2dShape& shape,
                                         const std::string& forced);

/// Those among which autotune chooses.
std::vector<const Conv2dImplementation*> conv2dImplementations(Conv2dPass pass, const Conv2dShape& shape);

}  // namespace nodecudnn
