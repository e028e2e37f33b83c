#include "simulator/descriptors.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "simulator/simulator.h"

namespace simulator {
namespace {

using nodecudnn::concat;
constexpr int64_t kMany = 64;

/// How an attribute is set. One that production does not set is a violation, so that whoever needs it adds
/// it.
struct Rule {
  cudnnBackendAttributeName_t name;
  cudnnBackendAttributeType_t type;
  int64_t least = 1, most = 1;
};
struct Rules {
  std::vector<Rule> required, optional;
};

std::map<cudnnBackendDescriptorType_t, Rules> makeRules() {
  const auto descriptor = [](cudnnBackendAttributeName_t name) {
    return Rule{name, CUDNN_TYPE_BACKEND_DESCRIPTOR};
  };
  std::map<cudnnBackendDescriptorType_t, Rules> rules{
      {CUDNN_BACKEND_TENSOR_DESCRIPTOR,
       {{{CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64},
         {CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE},
         {CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64},
         {CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 1, CUDNN_DIM_MAX},
         {CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 1, CUDNN_DIM_MAX}},
        {{CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN}}}},
      {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR,
       {{{CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE},
         {CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE},
         {CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64},
         {CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 1, CUDNN_DIM_MAX},
         {CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 1, CUDNN_DIM_MAX},
         {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 1, CUDNN_DIM_MAX},
         {CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 1, CUDNN_DIM_MAX}},
        {}}},
      {CUDNN_BACKEND_POINTWISE_DESCRIPTOR,
       {{{CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE},
         {CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE}},
        {{CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, CUDNN_TYPE_NAN_PROPOGATION},
         {CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, CUDNN_TYPE_DOUBLE},
         {CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, CUDNN_TYPE_DOUBLE},
         {CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, CUDNN_TYPE_DOUBLE}}}},
      {CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR,
       {{descriptor(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR),
         descriptor(CUDNN_ATTR_OPERATION_POINTWISE_XDESC), descriptor(CUDNN_ATTR_OPERATION_POINTWISE_YDESC)},
        {descriptor(CUDNN_ATTR_OPERATION_POINTWISE_BDESC),
         {CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, CUDNN_TYPE_FLOAT},
         {CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, CUDNN_TYPE_FLOAT}}}},
      {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR,
       {{{CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, kMany}},
        {{CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE}}}},
      {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR,
       {{descriptor(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH),
         {CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE}},
        {descriptor(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP)}}},
      {CUDNN_BACKEND_ENGINE_DESCRIPTOR,
       {{descriptor(CUDNN_ATTR_ENGINE_OPERATION_GRAPH), {CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64}},
        {descriptor(CUDNN_ATTR_ENGINE_DEVICEPROP)}}},
      {CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR,
       {{{CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE},
         {CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64}},
        {}}},
      {CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
       {{descriptor(CUDNN_ATTR_ENGINECFG_ENGINE)},
        {{CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, kMany}}}},
      {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR,
       {{descriptor(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)},
        {{CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE},
         descriptor(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP)}}},
      {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR,
       {{{CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 1, kMany},
         {CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 1, kMany},
         {CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR}},
        {}}},
      {CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR,
       {{{CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 1, 1 << 16}}, {}}},
  };
  for (const ConvolutionNames& names : kConvolutions)
    rules[names.type].required = {{names.alpha, CUDNN_TYPE_FLOAT},
                                  {names.beta, CUDNN_TYPE_FLOAT},
                                  descriptor(names.x),
                                  descriptor(names.w),
                                  descriptor(names.y),
                                  descriptor(names.convolution)};
  return rules;
}

const Rules& rulesOf(cudnnBackendDescriptorType_t type) {
  static const auto kRules = makeRules();
  static const Rules kNone;
  const auto found = kRules.find(type);
  return found == kRules.end() ? kNone : found->second;
}

[[noreturn]] void refuseBad(const std::string& why) { throw Refusal{CUDNN_STATUS_BAD_PARAM, why}; }

template <class T, class As>
std::vector<As> elementsAs(int64_t count, const void* elements) {
  std::vector<As> out;
  for (int64_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, static_cast<const char*>(elements) + i * sizeof value, sizeof value);
    out.push_back(static_cast<As>(value));
  }
  return out;
}

}  // namespace

void refuseMisuse(const char* call, const std::string& why) {
  violation(concat(call, ": ", why));
  throw Refusal{CUDNN_STATUS_BAD_PARAM, why};
}

void refuseUnknown(const std::string& what) {
  violation(concat("the simulator does not know ", what));
  throw Refusal{CUDNN_STATUS_NOT_SUPPORTED, what};
}

const Attribute* Record::find(cudnnBackendAttributeName_t name) const {
  const auto found = attributes.find(name);
  return found == attributes.end() ? nullptr : &found->second;
}

const std::vector<int64_t>& Record::integers(cudnnBackendAttributeName_t name) const {
  return attributes.at(name).integers;
}

double Record::number(cudnnBackendAttributeName_t name, double otherwise) const {
  const Attribute* found = find(name);
  return found == nullptr ? otherwise : found->numbers.at(0);
}

const Record& Record::record(cudnnBackendAttributeName_t name) const {
  return *attributes.at(name).records.at(0);
}

void checkAttribute(cudnnBackendDescriptorType_t of, cudnnBackendAttributeName_t name,
                    cudnnBackendAttributeType_t type, int64_t count) {
  const Rules& rules = rulesOf(of);
  for (const std::vector<Rule>* list : {&rules.required, &rules.optional})
    for (const Rule& rule : *list) {
      if (rule.name != name) continue;
      if (type != rule.type)
        throw Refusal{CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, concat("type ", type, " for attribute ", name)};
      if (count < rule.least || count > rule.most)
        refuseBad(
            concat(count, " elements for attribute ", name, ", which takes ", rule.least, " to ", rule.most));
      return;
    }
  refuseUnknown(concat("attribute ", name, " of descriptor type ", of));
}

void checkComplete(const Record& record) {
  for (const Rule& rule : rulesOf(record.type).required)
    if (record.find(rule.name) == nullptr)
      refuseBad(concat("attribute ", rule.name, " of descriptor type ", record.type, " is not set"));
}

size_t bytesOf(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
      return 8;
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
      return sizeof(void*);
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR:
      return 1;
    default:
      return 4;
  }
}

Attribute attributeOf(cudnnBackendAttributeType_t type, int64_t count, const void* elements) {
  Attribute out;
  switch (type) {
    case CUDNN_TYPE_FLOAT:
      out.numbers = elementsAs<float, double>(count, elements);
      break;
    case CUDNN_TYPE_DOUBLE:
      out.numbers = elementsAs<double, double>(count, elements);
      break;
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
      out.pointers = elementsAs<void*, void*>(count, elements);
      break;
    case CUDNN_TYPE_INT64:
      out.integers = elementsAs<int64_t, int64_t>(count, elements);
      break;
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR:
      out.integers = elementsAs<char, int64_t>(count, elements);
      break;
    default:
      out.integers = elementsAs<int32_t, int64_t>(count, elements);
  }
  return out;
}

}  // namespace simulator
