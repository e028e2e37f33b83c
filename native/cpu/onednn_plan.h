#pragma once
#include <vector>

#include "cpu/context.h"
#include "cpu/filter_blocks.h"

namespace nodecudnn {

/// A oneDNN primitive with its operands. Those that it wants in another layout than the tensors have are
/// reordered through workspace at every run. Its scratchpad (which must be the user's) comes from there too.
class OneDnnPlan {
 public:
  struct Operand {
    int argument;               // DNNL_ARG_…
    dnnl::memory::desc tensor;  // as the caller has it
    dnnl::memory::desc wanted;  // as the primitive wants it
  };

  OneDnnPlan(const dnnl::engine& engine, const dnnl::primitive& primitive,
             const dnnl::memory::desc& scratchpad, const std::vector<Operand>& inputs, const Operand& output);

  /// `inputs` in the order of the constructor.
  void run(Context& context, std::initializer_list<const float*> inputs, float* output);

 private:
  struct Binding {
    dnnl::memory tensor, wanted;  // the same object where no reorder is needed
    std::optional<FilterBlocks> blocks;
    dnnl::reorder reorder;  // empty likewise, and with `blocks`
    size_t offset = 0;      // of `wanted` in the workspace
  };
  Binding bind(const dnnl::engine& engine, const Operand& operand, bool written);
  size_t reserve(size_t bytes);

  dnnl::primitive primitive_;
  std::vector<Binding> inputs_;
  Binding output_;
  dnnl::memory scratchpad_;  // empty if it needs none
  size_t scratchpadOffset_ = 0, workspaceBytes_ = 0;
  std::unordered_map<int, dnnl::memory> arguments_;
};

}  // namespace nodecudnn
