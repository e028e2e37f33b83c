#include "bind/ops.h"

#include "bind/launch.h"

namespace nodecudnn {
namespace {

template <auto kFunction>
void op(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New(exports.Env(), guarded<Launcher<kFunction>::call>, name,
                                        const_cast<char*>(name)));
}

/// An operation that changes what it writes in place: see Stream::Operation.
template <auto kFunction>
void update(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New(exports.Env(),
                                        guarded<Launcher<kFunction, Stream::Operation::Kind::Update>::call>,
                                        name, const_cast<char*>(name)));
}

template <auto kFunction>
void save(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New(exports.Env(), guarded<Saver<kFunction>::call>, name));
}

}  // namespace

void exportOps(Napi::Object exports) {
  op<conv2d>(exports, "conv2d");
  op<conv2dBackwardData>(exports, "conv2dBackwardData");
  op<conv2dBackwardFilter>(exports, "conv2dBackwardFilter");
  op<biasReluBackward>(exports, "biasReluBackward");
  save<lrnSave>(exports, "lrnSave");
  op<lrn>(exports, "lrn");
  op<lrnBackward>(exports, "lrnBackward");
  save<maxPool2dSave>(exports, "maxPool2dSave");
  op<maxPool2d>(exports, "maxPool2d");
  op<maxPool2dBackward>(exports, "maxPool2dBackward");
  op<linear>(exports, "linear");
  op<linearBackwardData>(exports, "linearBackwardData");
  op<linearBackwardWeight>(exports, "linearBackwardWeight");
  op<matmul>(exports, "matmul");
  op<relu>(exports, "relu");
  op<reluBackward>(exports, "reluBackward");
  op<tanh>(exports, "tanh");
  op<tanhBackward>(exports, "tanhBackward");
  op<add>(exports, "add");
  op<cat>(exports, "cat");
  op<catBackward>(exports, "catBackward");
  op<scale>(exports, "scale");
  op<fill>(exports, "fill");
  op<dropout>(exports, "dropout");
  op<randomUniform>(exports, "randomUniform");
  op<randomNormal>(exports, "randomNormal");
  op<softmax>(exports, "softmax");
  op<softmaxBackward>(exports, "softmaxBackward");
  op<softmaxCrossEntropy>(exports, "softmaxCrossEntropy");
  op<softmaxCrossEntropyBackward>(exports, "softmaxCrossEntropyBackward");
  op<topKHits>(exports, "topKHits");
  update<sgdStep>(exports, "sgdStep");
  update<adamStep>(exports, "adamStep");
  op<prepareImages>(exports, "prepareImages");
}

}  // namespace nodecudnn
