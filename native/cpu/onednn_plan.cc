#include "cpu/onednn_plan.h"

namespace nodecudnn {

OneDnnPlan::OneDnnPlan(const dnnl::engine& engine, const dnnl::primitive& primitive,
                       const dnnl::memory::desc& scratchpad, const std::vector<Operand>& inputs,
                       const Operand& output)
    : primitive_(primitive) {
  for (const Operand& input : inputs) inputs_.push_back(bind(engine, input, false));
  output_ = bind(engine, output, true);
  if (scratchpad.get_size() > 0) {
    scratchpad_ = dnnl::memory(scratchpad, engine, nullptr);
    scratchpadOffset_ = reserve(scratchpad.get_size());
    arguments_[DNNL_ARG_SCRATCHPAD] = scratchpad_;
  }
}

OneDnnPlan::Binding OneDnnPlan::bind(const dnnl::engine& engine, const Operand& operand, bool written) {
  Binding binding;
  binding.tensor = dnnl::memory(operand.tensor, engine, nullptr);
  binding.wanted = binding.tensor;
  if (operand.wanted != operand.tensor) {
    binding.wanted = dnnl::memory(operand.wanted, engine, nullptr);
    binding.offset = reserve(operand.wanted.get_size());
    if (!written) binding.blocks = FilterBlocks::between(operand.tensor, operand.wanted);
    if (written)
      binding.reorder = dnnl::reorder(binding.wanted, binding.tensor);
    else if (!binding.blocks)
      binding.reorder = dnnl::reorder(binding.tensor, binding.wanted);
  }
  arguments_[operand.argument] = binding.wanted;
  return binding;
}

size_t OneDnnPlan::reserve(size_t bytes) {
  const size_t offset = workspaceBytes_;
  workspaceBytes_ += (bytes + 4095) / 4096 * 4096;
  return offset;
}

void OneDnnPlan::run(Context& context, std::initializer_list<const float*> inputs, float* output) {
  char* workspace = workspaceBytes_ > 0 ? static_cast<char*>(context.workspace(0, workspaceBytes_)) : nullptr;
  const auto place = [workspace](Binding& binding, float* data) {
    binding.tensor.set_data_handle(data);
    if (binding.reorder || binding.blocks) binding.wanted.set_data_handle(workspace + binding.offset);
  };
  if (scratchpad_) scratchpad_.set_data_handle(workspace + scratchpadOffset_);
  place(output_, output);
  auto data = inputs.begin();
  for (Binding& input : inputs_) {
    const float* const tensor = *data++;
    place(input, const_cast<float*>(tensor));
    if (input.blocks)
      input.blocks->pack(context, tensor, static_cast<float*>(input.wanted.get_data_handle()));
    if (input.reorder) input.reorder.execute(context.stream, input.tensor, input.wanted);
  }
  primitive_.execute(context.stream, arguments_);
  if (output_.reorder) output_.reorder.execute(context.stream, output_.wanted, output_.tensor);
  context.stream.wait();
}

}  // namespace nodecudnn
