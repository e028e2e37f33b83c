#include "cuda/conv2d_graph.h"

#include <cudnn_frontend.h>
#include <nvrtc.h>

#include "cuda/libraries.h"

// cudnn-frontend has an engine for something else that would compile at run time: nothing here uses it.
extern "C" {
const char* nvrtcGetErrorString(nvrtcResult) { return "not linked"; }
nvrtcResult nvrtcCreateProgram(nvrtcProgram*, const char*, const char*, int, const char* const*,
                               const char* const*) {
  return NVRTC_ERROR_INTERNAL_ERROR;
}
nvrtcResult nvrtcDestroyProgram(nvrtcProgram*) { return NVRTC_ERROR_INTERNAL_ERROR; }
nvrtcResult nvrtcCompileProgram(nvrtcProgram, int, const char* const*) { return NVRTC_ERROR_INTERNAL_ERROR; }
nvrtcResult nvrtcGetCUBINSize(nvrtcProgram, size_t*) { return NVRTC_ERROR_INTERNAL_ERROR; }
nvrtcResult nvrtcGetCUBIN(nvrtcProgram, char*) { return NVRTC_ERROR_INTERNAL_ERROR; }
nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram, size_t*) { return NVRTC_ERROR_INTERNAL_ERROR; }
nvrtcResult nvrtcGetProgramLog(nvrtcProgram, char*) { return NVRTC_ERROR_INTERNAL_ERROR; }
}

namespace nodecudnn {
namespace {

namespace fe = cudnn_frontend;
using Graph = fe::graph::Graph;
using fe::NumericalNote_t;
using Operand = std::shared_ptr<fe::graph::Tensor_attributes>;
using Dims = std::vector<int64_t>;

/// The operands by which Conv2dPlan::run finds them.
enum Uid : int64_t { kA = 1, kB, kBias, kOut };

/// [n, c, h, w], with the channels next to each other in memory.
fe::graph::Tensor_attributes channelsLast(Uid uid, int64_t n, int64_t c, int64_t h, int64_t w) {
  return fe::graph::Tensor_attributes()
      .set_uid(uid)
      .set_dim({n, c, h, w})
      .set_stride({h * w * c, 1, w * c, c})
      .set_data_type(fe::DataType_t::FLOAT);
}

template <class Attributes>
Attributes convolution(const Conv2dShape& q) {
  return Attributes()
      .set_padding({q.padH, q.padW})
      .set_stride({q.strideH, q.strideW})
      .set_dilation({q.dilationH, q.dilationW});
}

void addOperations(Graph& graph, Conv2dPass pass, const Conv2dShape& q) {
  const auto x = [&q](Uid uid) { return channelsLast(uid, q.n, q.c, q.h, q.w); };
  const auto w = [&q](Uid uid) { return channelsLast(uid, q.k, q.groupC(), q.r, q.s); };
  const auto y = [&q](Uid uid) { return channelsLast(uid, q.n, q.k, q.oh, q.ow); };
  Operand out;
  fe::graph::Tensor_attributes as;
  switch (pass) {
    case Conv2dPass::Forward:
      out = graph.conv_fprop(graph.tensor(x(kA)), graph.tensor(w(kB)),
                             convolution<fe::graph::Conv_fprop_attributes>(q));
      if (q.bias)
        out = graph.pointwise(out, graph.tensor(channelsLast(kBias, 1, q.k, 1, 1)),
                              fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::ADD));
      if (q.relu)
        out = graph.pointwise(out, fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::RELU_FWD));
      as = y(kOut);
      break;
    case Conv2dPass::Data:
      out = graph.conv_dgrad(graph.tensor(y(kA)), graph.tensor(w(kB)),
                             convolution<fe::graph::Conv_dgrad_attributes>(q));
      as = x(kOut);
      break;
    case Conv2dPass::Filter:
      out = graph.conv_wgrad(graph.tensor(y(kB)), graph.tensor(x(kA)),
                             convolution<fe::graph::Conv_wgrad_attributes>(q));
      as = w(kOut);
      break;
  }
  out->set_output(true).set_uid(kOut).set_dim(as.get_dim()).set_stride(as.get_stride());
}

/// How much is asked of a plan beside what Conv2dMath asks; the next is tried where the one before has none.
struct Wishes {
  bool littleWorkspace, allDigits;
};
constexpr Wishes kWishes[] = {{true, true}, {false, true}, {true, false}, {false, false}};

std::vector<NumericalNote_t> notesToAvoid(const Conv2dMath& math, const Wishes& wishes) {
  std::vector<NumericalNote_t> notes;
  if (math.deterministic) notes.push_back(NumericalNote_t::NONDETERMINISTIC);
  if (!math.tf32) {
    // For float32 it says that products are in TF32.
    notes.push_back(NumericalNote_t::TENSOR_CORE);
    if (wishes.allDigits)
      notes.insert(notes.end(),
                   {NumericalNote_t::FFT, NumericalNote_t::WINOGRAD, NumericalNote_t::WINOGRAD_TILE_4x4,
                    NumericalNote_t::WINOGRAD_TILE_6x6, NumericalNote_t::WINOGRAD_TILE_13x13});
  }
  return notes;
}

bool failed(const fe::error_object& error) { return error.is_bad(); }
CallFailure describeFailure(const fe::error_object& error) {
  return {concat("cudnn-frontend's ", error.code), error.err_msg, false};
}

std::string describe(Conv2dPass pass, const Conv2dShape& q) {
  const char* names[] = {"the forward", "the data gradient", "the filter gradient"};
  return concat(names[static_cast<int>(pass)], " of conv2d of ", Shape{q.n, q.h, q.w, q.c}, " with ",
                Shape{q.k, q.r, q.s, q.groupC()}, " to ", Shape{q.n, q.oh, q.ow, q.k}, " in ", q.groups,
                " groups");
}

}  // namespace

Conv2dPlan::Conv2dPlan(std::shared_ptr<Graph> graph, int64_t index, std::string what)
    : graph_(std::move(graph)), index_(index), what_(std::move(what)) {
  int64_t bytes = 0;
  CUDA_CHECK(graph_->get_workspace_size_plan_at_index(index, bytes), what_);
  workspaceBytes_ = static_cast<size_t>(bytes);
}

std::string Conv2dPlan::name() const {
  std::string name;
  CUDA_CHECK(graph_->get_plan_name_at_index(index_, name), what_);
  return name;
}

void Conv2dPlan::run(cudnnHandle_t handle, const Conv2dOperands& operands, void* workspace) const {
  // cuDNN's variant pack has one kind of pointer for what is read and written.
  std::unordered_map<int64_t, void*> pointers{
      {kA, const_cast<float*>(operands.a)}, {kB, const_cast<float*>(operands.b)}, {kOut, operands.out}};
  if (operands.bias != nullptr) pointers.emplace(kBias, const_cast<float*>(operands.bias));
  CUDA_CHECK(graph_->execute_plan_at_index(handle, pointers, workspace, index_), what_, " by ", name());
}

Conv2dPlanner::Conv2dPlanner(const std::string& properties, int capability) : capability_(capability) {
  auto made = std::make_shared<fe::DeviceProperties>();
  CUDA_CHECK(made->deserialize({properties.begin(), properties.end()}), properties);
  properties_ = std::move(made);
}

std::vector<std::shared_ptr<Conv2dPlan>> Conv2dPlanner::search(Conv2dPass pass, const Conv2dShape& shape,
                                                               const Conv2dMath& math, size_t count,
                                                               const std::string* name) const {
  const std::string what = describe(pass, shape);
  fe::error_object last;
  for (const Wishes& wishes : kWishes) {
    if (math.tf32 && !wishes.allDigits) continue;  // As with it.
    auto graph = std::make_shared<Graph>();
    graph->set_io_data_type(fe::DataType_t::FLOAT)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
    if (properties_) graph->set_device_properties(properties_).set_sm_version(capability_);
    addOperations(*graph, pass, shape);
    CUDA_CHECK(graph->validate(), what);
    CUDA_CHECK(graph->build_operation_graph(handle_), what);
    CUDA_CHECK(graph->create_execution_plans({fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK}), what);
    graph->deselect_numeric_notes(notesToAvoid(math, wishes));
    if (wishes.littleWorkspace) graph->deselect_workspace_greater_than(kMaxWorkspaceBytes);
    last = graph->check_support();
    if (failed(last)) continue;
    std::vector<std::shared_ptr<Conv2dPlan>> found;
    for (int64_t index = 0; index < graph->get_execution_plan_count() && found.size() < count; ++index) {
      std::string indexed;
      if (name != nullptr && (failed(graph->get_plan_name_at_index(index, indexed)) || indexed != *name))
        continue;
      last = graph->build_plan_at_index(index);
      if (failed(last))
        refusals_.push_back(last.err_msg);
      else
        found.push_back(std::make_shared<Conv2dPlan>(graph, index, what));
    }
    if (!found.empty()) return found;
  }
  if (name != nullptr) return {};
  throw CudaError("cudnn_frontend::graph::Graph::build_plan_at_index", describeFailure(last),
                  concat("a plan of ", what, math.tf32 ? "" : " without TF32",
                         math.deterministic ? ", deterministic" : ""));
}

std::vector<std::shared_ptr<Conv2dPlan>> Conv2dPlanner::plans(Conv2dPass pass, const Conv2dShape& shape,
                                                              const Conv2dMath& math, size_t count) const {
  return search(pass, shape, math, count, nullptr);
}

std::shared_ptr<Conv2dPlan> Conv2dPlanner::named(const std::string& name, Conv2dPass pass,
                                                 const Conv2dShape& shape, const Conv2dMath& math) const {
  const auto found = search(pass, shape, math, 1, &name);
  return found.empty() ? nullptr : found.front();
}

}  // namespace nodecudnn
