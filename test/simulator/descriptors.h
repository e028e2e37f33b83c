#pragma once
#include <cudnn.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "simulator/operation_graph.h"

/// What was set of cuDNN's backend descriptors.
namespace simulator {

/// cuDNN says no: its status, and why.
struct Refusal {
  cudnnStatus_t status;
  std::string why;
};
/// Throws a Refusal after a violation: of misuse that the real library might not notice,
[[noreturn]] void refuseMisuse(const char* call, const std::string& why);
/// or of what the simulator lacks.
[[noreturn]] void refuseUnknown(const std::string& what);

/// One engine with its settings, as heuristics offer it where the real cuDNN is not there.
struct Offer {
  int64_t engine, knob;
  std::vector<cudnnBackendNumericalNote_t> notes;
  int64_t workspaceBytes;
};

struct Record;
using RecordPtr = std::shared_ptr<Record>;

/// The elements of an attribute: of integers and enumerations, of floating-point numbers, of pointers and
/// handles, or of descriptors.
struct Attribute {
  std::vector<int64_t> integers;
  std::vector<double> numbers;
  std::vector<void*> pointers;
  std::vector<RecordPtr> records;
};

/// A descriptor's content. It outlives the descriptor where others refer to it.
struct Record {
  cudnnBackendDescriptorType_t type;
  bool isFinal = false;
  std::map<cudnnBackendAttributeName_t, Attribute> attributes;

  /// Of graphs, and of all that comes from one.
  std::shared_ptr<const OperationGraph> graph;
  /// Of engines, configurations and plans, without the real cuDNN.
  std::shared_ptr<const Offer> offer;
  /// Of plans.
  int64_t workspaceBytes = 0;
  bool tf32 = false;

  const Attribute* find(cudnnBackendAttributeName_t name) const;
  const std::vector<int64_t>& integers(cudnnBackendAttributeName_t name) const;
  int64_t integer(cudnnBackendAttributeName_t name) const { return integers(name).at(0); }
  double number(cudnnBackendAttributeName_t name, double otherwise) const;
  const Record& record(cudnnBackendAttributeName_t name) const;
};

/// What the three convolutions call the same.
struct ConvolutionNames {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t x, w, y, convolution, alpha, beta;
};
constexpr ConvolutionNames kConvolutions[] = {
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

/// Throws Refusal unless a descriptor of that type takes `count` elements of `type` for the attribute.
void checkAttribute(cudnnBackendDescriptorType_t of, cudnnBackendAttributeName_t name,
                    cudnnBackendAttributeType_t type, int64_t count);
/// Throws Refusal unless all is set that has to be.
void checkComplete(const Record& record);
size_t bytesOf(cudnnBackendAttributeType_t type);
Attribute attributeOf(cudnnBackendAttributeType_t type, int64_t count, const void* elements);

/// What a graph's operations compute. Throws Refusal where tensors do not fit together, or the simulator
/// does not know an operation.
OperationGraph interpret(const Record& graph, std::optional<int> device);

}  // namespace simulator
