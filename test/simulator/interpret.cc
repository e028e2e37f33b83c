#include <algorithm>
#include <limits>

#include "core/error.h"
#include "simulator/descriptors.h"

namespace simulator {
namespace {

using nodecudnn::concat;

[[noreturn]] void refuseBad(const std::string& why) { throw Refusal{CUDNN_STATUS_BAD_PARAM, why}; }

void expectFloat(int64_t type, const char* of) {
  if (type != CUDNN_DATA_FLOAT) refuseUnknown(concat("data type ", type, " for ", of));
}

std::array<int64_t, 4> four(const Record& tensor, cudnnBackendAttributeName_t name) {
  const std::vector<int64_t>& values = tensor.integers(name);
  if (values.size() != 4) refuseUnknown(concat("a tensor of rank ", values.size()));
  std::array<int64_t, 4> out{};
  std::copy(values.begin(), values.end(), out.begin());
  return out;
}

/// Two elements never share memory.
void expectDistinct(const Layout& layout, int64_t id) {
  std::array<size_t, 4> order{0, 1, 2, 3};
  std::sort(order.begin(), order.end(),
            [&layout](size_t a, size_t b) { return layout.strides[a] < layout.strides[b]; });
  int64_t reach = 1;
  for (size_t axis : order) {
    if (layout.dims[axis] < 1 || layout.strides[axis] < 1)
      refuseBad(
          concat("tensor ", id, " has dimension ", layout.dims[axis], " with stride ", layout.strides[axis]));
    if (layout.dims[axis] == 1) continue;
    if (layout.strides[axis] < reach)
      refuseBad(concat("tensor ", id, " has two elements at one place: stride ", layout.strides[axis],
                       " where ", reach, " elements are below it"));
    reach = (layout.dims[axis] - 1) * layout.strides[axis] + reach;
  }
}

/// Puts operations of records into an OperationGraph.
class Interpreter {
 public:
  OperationGraph graph;

  void add(const Record& op) {
    for (const ConvolutionNames& names : kConvolutions)
      if (names.type == op.type) return addConvolution(op, names);
    if (op.type != CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
      refuseUnknown(concat("operations of descriptor type ", op.type));
    addPointwise(op);
  }

  /// Each virtual tensor is computed before it is used.
  void expectOrder() const {
    std::set<int64_t> computed;
    for (const Operation& op : graph.operations) {
      for (int64_t id : op.inputs()) {
        const bool known = computed.count(id) != 0, isVirtual = graph.tensors.at(id).isVirtual;
        if (isVirtual && !known) refuseBad(concat("virtual tensor ", id, " is used before it is computed"));
        if (!isVirtual && known) refuseUnknown(concat("tensor ", id, ", in memory, between two operations"));
        if (id == op.output()) refuseBad(concat("tensor ", id, " is computed from itself"));
      }
      if (!computed.insert(op.output()).second)
        refuseBad(concat("tensor ", op.output(), " is computed twice"));
    }
  }

 private:
  int64_t addTensor(const Record& record) {
    expectFloat(record.integer(CUDNN_ATTR_TENSOR_DATA_TYPE), "a tensor");
    const int64_t id = record.integer(CUDNN_ATTR_TENSOR_UNIQUE_ID);
    const GraphTensor tensor{
        {four(record, CUDNN_ATTR_TENSOR_DIMENSIONS), four(record, CUDNN_ATTR_TENSOR_STRIDES)},
        record.integer(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT),
        record.find(CUDNN_ATTR_TENSOR_IS_VIRTUAL) != nullptr &&
            record.integer(CUDNN_ATTR_TENSOR_IS_VIRTUAL) != 0};
    expectDistinct(tensor.layout, id);
    const auto [known, isNew] = graph.tensors.emplace(id, tensor);
    const GraphTensor& before = known->second;
    if (!isNew && (before.layout.dims != tensor.layout.dims ||
                   before.layout.strides != tensor.layout.strides || before.isVirtual != tensor.isVirtual))
      refuseBad(concat("tensor ", id, " is described in two ways"));
    return id;
  }

  void addConvolution(const Record& op, const ConvolutionNames& names) {
    Operation operation{};
    operation.type = op.type;
    operation.x = addTensor(op.record(names.x));
    operation.w = addTensor(op.record(names.w));
    operation.y = addTensor(op.record(names.y));
    operation.alpha = op.number(names.alpha, 1);
    operation.beta = op.number(names.beta, 0);
    operation.convolution = geometry(op.record(names.convolution), operation);
    graph.operations.push_back(operation);
  }

  Convolution geometry(const Record& record, const Operation& op) const {
    expectFloat(record.integer(CUDNN_ATTR_CONVOLUTION_COMP_TYPE), "a convolution");
    if (record.integer(CUDNN_ATTR_CONVOLUTION_CONV_MODE) != CUDNN_CROSS_CORRELATION)
      refuseUnknown("convolutions with the filter turned round");
    if (record.integer(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS) != 2)
      refuseUnknown("convolutions that have not two dimensions in space");
    const auto two = [&record](cudnnBackendAttributeName_t name) {
      const std::vector<int64_t>& values = record.integers(name);
      if (values.size() != 2)
        refuseBad(concat("2 numbers for attribute ", name, " but received ", values.size()));
      return std::array<int64_t, 2>{values[0], values[1]};
    };
    const auto& x = graph.tensors.at(op.x).layout.dims;
    const auto& w = graph.tensors.at(op.w).layout.dims;
    const auto& y = graph.tensors.at(op.y).layout.dims;
    const auto post = two(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS);
    const int64_t groups = x[1] / w[1];
    const Convolution q{x[0],
                        x[2],
                        x[3],
                        w[1],
                        w[0] / std::max<int64_t>(groups, 1),
                        groups,
                        w[2],
                        w[3],
                        y[2],
                        y[3],
                        two(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS),
                        two(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES),
                        two(CUDNN_ATTR_CONVOLUTION_DILATIONS)};
    if (groups < 1 || groups * q.groupC != x[1] || groups * q.groupK != w[0])
      refuseBad(concat("filters of ", w[1], " channels, ", w[0], " of them, for ", x[1], " channels"));
    for (size_t i = 0; i < 2; ++i) {
      if (q.stride[i] < 1 || q.dilation[i] < 1 || q.padding[i] < 0 || post[i] < 0)
        refuseBad("a convolution's stride, dilation or padding is out of range");
      const int64_t size =
          (x[2 + i] + q.padding[i] + post[i] - q.dilation[i] * (w[2 + i] - 1) - 1) / q.stride[i] + 1;
      if (size != y[2 + i]) refuseBad(concat("an output of size ", size, " was described as ", y[2 + i]));
    }
    if (y[0] != x[0] || y[1] != w[0])
      refuseBad(concat("a response of ", y[0], " images with ", y[1], " channels for ", x[0], " and ", w[0]));
    return q;
  }

  void addPointwise(const Record& op) {
    const Record& how = op.record(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    expectFloat(how.integer(CUDNN_ATTR_POINTWISE_MATH_PREC), "a pointwise operation");
    Operation operation{};
    operation.type = op.type;
    operation.mode = static_cast<cudnnPointwiseMode_t>(how.integer(CUDNN_ATTR_POINTWISE_MODE));
    operation.x = addTensor(op.record(CUDNN_ATTR_OPERATION_POINTWISE_XDESC));
    operation.y = addTensor(op.record(CUDNN_ATTR_OPERATION_POINTWISE_YDESC));
    operation.alpha = op.number(CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, 1);
    operation.beta = op.number(CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, 1);
    operation.hasSecond = op.find(CUDNN_ATTR_OPERATION_POINTWISE_BDESC) != nullptr;
    if (operation.hasSecond) operation.w = addTensor(op.record(CUDNN_ATTR_OPERATION_POINTWISE_BDESC));
    operation.lowerClip = how.number(CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, 0);
    operation.upperClip =
        how.number(CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, std::numeric_limits<double>::infinity());
    operation.lowerSlope = how.number(CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, 0);
    operation.propagatesNan = how.find(CUDNN_ATTR_POINTWISE_NAN_PROPAGATION) != nullptr &&
                              how.integer(CUDNN_ATTR_POINTWISE_NAN_PROPAGATION) == CUDNN_PROPAGATE_NAN;
    expectPointwise(operation);
    graph.operations.push_back(operation);
  }

  void expectPointwise(const Operation& op) const {
    const bool isAdd = op.mode == CUDNN_POINTWISE_ADD, isRelu = op.mode == CUDNN_POINTWISE_RELU_FWD;
    if (!isAdd && !isRelu) refuseUnknown(concat("pointwise mode ", op.mode));
    if (op.hasSecond != isAdd)
      refuseBad(concat("pointwise mode ", op.mode, " with a wrong number of inputs"));
    const auto& y = graph.tensors.at(op.y).layout.dims;
    if (graph.tensors.at(op.x).layout.dims != y) refuseBad("a pointwise operation changes the shape");
    for (size_t axis = 0; isAdd && axis < y.size(); ++axis) {
      const int64_t size = graph.tensors.at(op.w).layout.dims[axis];
      if (size != 1 && size != y[axis])
        refuseBad(concat("a second operand of size ", size, " where the output has ", y[axis]));
    }
  }
};

}  // namespace

OperationGraph interpret(const Record& graph, std::optional<int> device) {
  Interpreter interpreter;
  interpreter.graph.device = device;
  for (const RecordPtr& op : graph.attributes.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).records) interpreter.add(*op);
  interpreter.expectOrder();
  return std::move(interpreter.graph);
}

}  // namespace simulator
