#include "simulator/operation_graph.h"

#include <cmath>
#include <cstring>

namespace simulator {
namespace {

/// Ten bits of mantissa, the nearest; of two as near the larger, as the device's conversion does.
void roundToTf32(Packed& values) {
  for (float& value : values) {
    if (!std::isfinite(value)) continue;
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    bits = (bits + 0x1000) & ~uint32_t{0x1fff};
    std::memcpy(&value, &bits, sizeof bits);
  }
}

float relu(const Operation& op, double value) {
  if (std::isnan(value)) return static_cast<float>(op.propagatesNan ? value : op.lowerClip);
  if (value < op.lowerClip) return static_cast<float>(op.lowerClip + op.lowerSlope * (value - op.lowerClip));
  return static_cast<float>(std::min(value, op.upperClip));
}

/// y[i] = f(x[i], w[j]), where j is i without the dimensions in which w is 1.
template <class F>
Packed broadcast(const Layout& y, const Packed& x, const Layout& second, const Packed& w, F f) {
  Packed out(x.size());
  const auto [n, c, h, width] = y.dims;
  const auto at = [&second](size_t axis, int64_t i) { return second.dims[axis] == 1 ? 0 : i; };
  size_t i = 0;
  for (int64_t a = 0; a < n; ++a)
    for (int64_t b = 0; b < h; ++b)
      for (int64_t d = 0; d < width; ++d)
        for (int64_t e = 0; e < c; ++e, ++i) {
          const int64_t line = (at(0, a) * second.dims[2] + at(2, b)) * second.dims[3] + at(3, d);
          out[i] = f(x[i], w[line * second.dims[1] + at(1, e)]);
        }
  return out;
}

class Evaluation {
 public:
  Evaluation(const OperationGraph& graph, bool tf32, const std::map<int64_t, float*>& memory)
      : graph_(graph), tf32_(tf32), memory_(memory) {}

  void run() {
    for (const Operation& op : graph_.operations) {
      Packed y = valueOf(op);
      const GraphTensor& tensor = graph_.tensors.at(op.output());
      if (tensor.isVirtual)
        virtual_[op.output()] = std::move(y);
      else
        scatter(tensor.layout, y, memory_.at(op.output()));
    }
  }

 private:
  Packed load(int64_t id) const {
    const GraphTensor& tensor = graph_.tensors.at(id);
    return tensor.isVirtual ? virtual_.at(id) : gather(tensor.layout, memory_.at(id));
  }
  Packed factor(int64_t id) const {
    Packed values = load(id);
    if (tf32_) roundToTf32(values);
    return values;
  }

  Packed valueOf(const Operation& op) const {
    const Convolution& q = op.convolution;
    switch (op.type) {
      case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
        return blend(op, forward(q, factor(op.x), factor(op.w)));
      case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
        return blend(op, backwardData(q, factor(op.y), factor(op.w)));
      case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
        return blend(op, backwardFilter(q, factor(op.x), factor(op.y)));
      default:
        return pointwise(op);
    }
  }

  Packed blend(const Operation& op, Packed result) const {
    if (op.alpha == 1 && op.beta == 0) return result;
    const Packed before = op.beta != 0 ? load(op.output()) : Packed(result.size());
    for (size_t i = 0; i < result.size(); ++i)
      result[i] = static_cast<float>(op.alpha * result[i] + (op.beta != 0 ? op.beta * before[i] : 0));
    return result;
  }

  Packed pointwise(const Operation& op) const {
    Packed x = load(op.x);
    if (op.mode == CUDNN_POINTWISE_RELU_FWD) {
      for (float& value : x) value = relu(op, op.alpha * value);
      return x;
    }
    return broadcast(graph_.tensors.at(op.y).layout, x, graph_.tensors.at(op.w).layout, load(op.w),
                     [&op](double a, double b) { return static_cast<float>(op.alpha * a + op.beta * b); });
  }

  const OperationGraph& graph_;
  const bool tf32_;
  const std::map<int64_t, float*>& memory_;
  std::map<int64_t, Packed> virtual_;
};

}  // namespace

int64_t Operation::output() const {
  if (type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR) return x;
  return type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR ? w : y;
}

std::vector<int64_t> Operation::inputs() const {
  switch (type) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
      return {y, w};
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
      return {x, y};
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
      return {x, w};
    default:
      return hasSecond ? std::vector<int64_t>{x, w} : std::vector<int64_t>{x};
  }
}

std::set<int64_t> OperationGraph::external() const {
  std::set<int64_t> ids;
  for (const auto& [id, tensor] : tensors)
    if (!tensor.isVirtual) ids.insert(id);
  return ids;
}

std::set<int64_t> OperationGraph::written() const {
  std::set<int64_t> ids;
  for (const Operation& op : operations)
    if (!tensors.at(op.output()).isVirtual) ids.insert(op.output());
  return ids;
}

std::set<int64_t> OperationGraph::read() const {
  std::set<int64_t> ids;
  for (const Operation& op : operations) {
    for (int64_t id : op.inputs())
      if (!tensors.at(id).isVirtual) ids.insert(id);
    const bool isPointwise = op.type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR;
    if (!isPointwise && op.beta != 0) ids.insert(op.output());
  }
  return ids;
}

void compute(const OperationGraph& graph, bool tf32, const std::map<int64_t, float*>& memory) {
  Evaluation(graph, tf32, memory).run();
}

}  // namespace simulator
