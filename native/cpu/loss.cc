#include <algorithm>
#include <cmath>

#include "core/arguments.h"
#include "cpu/kernel.h"

namespace nodecudnn {
namespace {

/// Rows of a few thousand elements in all are not worth a second thread.
int64_t rowGrain(int64_t classes) { return std::max<int64_t>(1, 4096 / std::max<int64_t>(1, classes)); }

/// y = softmax(x), and returns ln Σ exp(x - max): with the largest subtracted nothing overflows.
double softmaxRow(int64_t classes, const float* x, float* y, float largest) {
  double sum = 0;
  for (int64_t c = 0; c < classes; ++c) {
    y[c] = std::exp(x[c] - largest);
    sum += y[c];
  }
  const float factor = static_cast<float>(1 / sum);
  for (int64_t c = 0; c < classes; ++c) y[c] *= factor;
  return std::log(sum);
}

/// NaN where there is one.
float maximum(int64_t count, const float* x) {
  float largest = x[0];
  for (int64_t i = 1; i < count; ++i)
    if (!(x[i] <= largest)) largest = x[i];
  return largest;
}

/// Before any work: what runs on several threads must not throw.
const int32_t* checkLabels(const Tensor& labels, const Shape& logits) {
  checkShape("labels", labels.shape, Shape{logits[0]});
  const int32_t* label = labels.i32();
  for (int64_t n = 0; n < logits[0]; ++n)
    CHECK(label[n] >= 0 && label[n] < logits[1], "Expected label in [0, ", logits[1], ") for labels[", n,
          "] but received ", label[n]);
  return label;
}

}  // namespace

void softmax(Context& context, const Tensor& x, Tensor& y) {
  checkClasses(x, y);
  const int64_t classes = x.shape[1];
  const float* in = x.f32();
  float* out = y.f32();
  parallelFor(context.threads, x.shape[0], rowGrain(classes), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const float* row = in + n * classes;
      softmaxRow(classes, row, out + n * classes, maximum(classes, row));
    }
  });
}

/// dx = y · (dy · Σ y - Σ dy · y). Σ y is 1 but for the rounding of y, which cancels so where one class has
/// almost all.
void softmaxBackward(Context& context, const Tensor& y, const Tensor& dy, Tensor& dx) {
  checkClasses(y, dy);
  checkShape("dx", dx.shape, y.shape);
  const int64_t classes = y.shape[1];
  const float *value = y.f32(), *gradient = dy.f32();
  float* out = dx.f32();
  parallelFor(context.threads, y.shape[0], rowGrain(classes), [&](int64_t begin, int64_t end) {
    for (int64_t at = begin * classes; at < end * classes; at += classes) {
      double sum = 0, dot = 0;
      for (int64_t c = 0; c < classes; ++c) {
        sum += value[at + c];
        dot += double{value[at + c]} * gradient[at + c];
      }
      for (int64_t c = 0; c < classes; ++c)
        out[at + c] = static_cast<float>(value[at + c] * (gradient[at + c] * sum - dot));
    }
  });
}

void softmaxCrossEntropy(Context& context, const Tensor& logits, const Tensor& labels, Tensor& loss,
                         Tensor& probabilities) {
  checkClasses(logits, probabilities);
  checkShape("loss", loss.shape, Shape{});
  const int64_t rows = logits.shape[0], classes = logits.shape[1];
  const int32_t* label = checkLabels(labels, logits.shape);
  const float* in = logits.f32();
  float *out = probabilities.f32(), *mean = loss.f32();
  double* losses = context.workspace<double>(0, rows);
  parallelFor(context.threads, rows, rowGrain(classes), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const float* row = in + n * classes;
      const float largest = maximum(classes, row);
      losses[n] = softmaxRow(classes, row, out + n * classes, largest) - (double{row[label[n]]} - largest);
    }
  });
  double total = 0;
  for (int64_t n = 0; n < rows; ++n) total += losses[n];
  *mean = static_cast<float>(total / static_cast<double>(rows));
}

/// dlogits = (probabilities - 1 at the label) · dloss / N
void softmaxCrossEntropyBackward(Context& context, const Tensor& probabilities, const Tensor& labels,
                                 const Tensor& dloss, Tensor& dlogits) {
  checkClasses(probabilities, dlogits);
  checkShape("dloss", dloss.shape, Shape{});
  const int64_t rows = probabilities.shape[0], classes = probabilities.shape[1];
  const int32_t* label = checkLabels(labels, probabilities.shape);
  const float* in = probabilities.f32();
  float* out = dlogits.f32();
  const float factor = *dloss.f32() / static_cast<float>(rows);
  parallelFor(context.threads, rows, rowGrain(classes), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const int64_t at = n * classes;
      for (int64_t c = 0; c < classes; ++c) out[at + c] = in[at + c] * factor;
      out[at + label[n]] = (in[at + label[n]] - 1) * factor;
    }
  });
}

/// A NaN beats every label's logit, and a label whose logit is NaN is no hit.
void topKHits(Context& context, const TopKParams& params, const Tensor& logits, const Tensor& labels,
              Tensor& hits) {
  checkRank("logits", logits.shape, 2);
  checkShape("hits", hits.shape, Shape{logits.shape[0]});
  CHECK(params.k > 0, "Expected positive integer for k of topKHits but received ", params.k);
  const int64_t classes = logits.shape[1];
  const int32_t* label = checkLabels(labels, logits.shape);
  const float* in = logits.f32();
  int32_t* out = hits.i32();
  parallelFor(context.threads, logits.shape[0], rowGrain(classes), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const float* row = in + n * classes;
      const float own = row[label[n]];
      int64_t better = 0;
      for (int64_t c = 0; c < classes; ++c) better += !(row[c] <= own) || (row[c] == own && c < label[n]);
      out[n] = !std::isnan(own) && better < params.k;
    }
  });
}

}  // namespace nodecudnn
