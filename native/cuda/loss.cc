#include "core/arguments.h"
#include "cuda/context.h"

namespace nodecudnn {
namespace {

/// The labels themselves the kernels check.
void checkLabels(const Tensor& labels, const Shape& logits) {
  checkShape("labels", labels.shape, Shape{logits[0]});
}

}  // namespace

void softmax(Context& context, const Tensor& x, Tensor& y) {
  checkClasses(x, y);
  kernels::softmax(context.stream(), x.shape[0], x.shape[1], x.f32(), y.f32());
}

void softmaxBackward(Context& context, const Tensor& y, const Tensor& dy, Tensor& dx) {
  checkClasses(y, dy);
  checkShape("dx", dx.shape, y.shape);
  kernels::softmaxBackward(context.stream(), y.shape[0], y.shape[1], y.f32(), dy.f32(), dx.f32());
}

void softmaxCrossEntropy(Context& context, const Tensor& logits, const Tensor& labels, Tensor& loss,
                         Tensor& probabilities) {
  checkClasses(logits, probabilities);
  checkLabels(labels, logits.shape);
  checkShape("loss", loss.shape, Shape{});
  const int64_t rows = logits.shape[0];
  kernels::softmaxCrossEntropy(context.stream(), rows, logits.shape[1], logits.f32(), labels.i32(),
                               context.workspace<double>(rows), loss.f32(), probabilities.f32(),
                               context.fault());
}

void softmaxCrossEntropyBackward(Context& context, const Tensor& probabilities, const Tensor& labels,
                                 const Tensor& dloss, Tensor& dlogits) {
  checkClasses(probabilities, dlogits);
  checkLabels(labels, probabilities.shape);
  checkShape("dloss", dloss.shape, Shape{});
  kernels::softmaxCrossEntropyBackward(context.stream(), probabilities.shape[0], probabilities.shape[1],
                                       probabilities.f32(), labels.i32(), dloss.f32(), dlogits.f32(),
                                       context.fault());
}

void topKHits(Context& context, const TopKParams& params, const Tensor& logits, const Tensor& labels,
              Tensor& hits) {
  checkRank("logits", logits.shape, 2);
  checkLabels(labels, logits.shape);
  checkShape("hits", hits.shape, Shape{logits.shape[0]});
  CHECK(params.k > 0, "Expected positive integer for k of topKHits but received ", params.k);
  kernels::topKHits(context.stream(), logits.shape[0], logits.shape[1], params.k, logits.f32(), labels.i32(),
                    hits.i32(), context.fault());
}

}  // namespace nodecudnn
