#pragma once
#include <optional>

#include "cpu/context.h"

namespace nodecudnn {

/// The layout that oneDNN's convolutions want of filters: `block` output channels beside each other for each
/// of the `size` weights of a filter. In KRSC each filter is in one piece, so it is a transposition, for
/// which oneDNN's reorder takes three times as long with AVX-512 (of conv3 of one picture 0.41 of 1.0 ms).
struct FilterBlocks {
  int64_t filters, size, block;  // `filters` of all groups

  /// Nothing if `wanted` is not such a layout of `tensor`, or has filters that are only padding.
  static std::optional<FilterBlocks> between(const dnnl::memory::desc& tensor,
                                             const dnnl::memory::desc& wanted);

  void pack(const Context& context, const float* filters, float* blocks) const;
};

}  // namespace nodecudnn
