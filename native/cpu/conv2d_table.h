#pragma once
#include "cpu/conv2d.h"

namespace nodecudnn {

/// The implementation that serves a shape: by the committed table, or `forced` (its name; empty: the table)
/// where that supports the shape.
const Conv2dImplementation& chooseConv2d(Isa isa, Conv2dPass pass, const Conv2dShape& shape,
                                         const std::string& forced);

}  // namespace nodecudnn
