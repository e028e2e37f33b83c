#include <cmath>

#include "core/philox.h"
#include "cuda/kernels.cuh"
#include "cuda/launch.cuh"

namespace nodecudnn {
namespace kernels {

// ---- Element by element ----

void relu(cudaStream_t stream, int64_t n, const float* x, float* y) {
  each(stream, n, [=] DEVICE(int64_t i) { y[i] = x[i] < 0 ? 0 : x[i]; });
}

void reluBackward(cudaStream_t stream, int64_t n, const float* y, const float* dy, float* dx) {
  each(stream, n, [=] DEVICE(int64_t i) { dx[i] = y[i] > 0 ? dy[i] : 0; });
}

void tanh(cudaStream_t stream, int64_t n, const float* x, float* y) {
  each(stream, n, [=] DEVICE(int64_t i) { y[i] = ::tanhf(x[i]); });
}

void tanhBackward(cudaStream_t stream, int64_t n, const float* y, const float* dy, float* dx) {
  each(stream, n, [=] DEVICE(int64_t i) { dx[i] = dy[i] * (1 - y[i] * y[i]); });
}

void add(cudaStream_t stream, int64_t n, const float* a, const float* b, float* y) {
  each(stream, n, [=] DEVICE(int64_t i) { y[i] = a[i] + b[i]; });
}

void cat(cudaStream_t stream, int64_t rows, int64_t left, int64_t right, const float* a, const float* b,
         float* y) {
  const int64_t width = left + right;
  each(stream, rows * width, [=] DEVICE(int64_t i) {
    const int64_t row = i / width, column = i % width;
    y[i] = column < left ? a[row * left + column] : b[row * right + column - left];
  });
}

void catBackward(cudaStream_t stream, int64_t rows, int64_t left, int64_t right, const float* dy, float* da,
                 float* db) {
  const int64_t width = left + right;
  each(stream, rows * width, [=] DEVICE(int64_t i) {
    const int64_t row = i / width, column = i % width;
    if (column < left) {
      if (da != nullptr) da[row * left + column] = dy[i];
    } else if (db != nullptr) {
      db[row * right + column - left] = dy[i];
    }
  });
}

void scale(cudaStream_t stream, int64_t n, float factor, const float* x, float* y) {
  each(stream, n, [=] DEVICE(int64_t i) { y[i] = x[i] * factor; });
}

void fill(cudaStream_t stream, int64_t n, float value, float* y) {
  each(stream, n, [=] DEVICE(int64_t i) { y[i] = value; });
}
void fill(cudaStream_t stream, int64_t n, int32_t value, int32_t* y) {
  each(stream, n, [=] DEVICE(int64_t i) { y[i] = value; });
}
void fill(cudaStream_t stream, int64_t n, uint8_t value, uint8_t* y) {
  each(stream, n, [=] DEVICE(int64_t i) { y[i] = value; });
}

void addBiasRelu(cudaStream_t stream, int64_t rows, int64_t columns, const float* bias, bool relu, float* y) {
  each(stream, rows * columns, [=] DEVICE(int64_t i) {
    const float value = bias != nullptr ? y[i] + bias[i % columns] : y[i];
    y[i] = relu && value < 0 ? 0 : value;
  });
}

namespace {

constexpr int64_t kMinChunkRows = 32;
constexpr int64_t kMaxChunks = 1024;

int64_t chunkRowsFor(int64_t rows) { return std::max(kMinChunkRows, (rows + kMaxChunks - 1) / kMaxChunks); }

}  // namespace

int64_t columnSumChunks(int64_t rows) { return (rows + chunkRowsFor(rows) - 1) / chunkRowsFor(rows); }

void biasReluBackward(cudaStream_t stream, int64_t rows, int64_t columns, const float* y, const float* dy,
                      float* dz, double* partials, float* dbias) {
  const int64_t chunkRows = chunkRowsFor(rows), chunks = columnSumChunks(rows);
  each(stream, chunks * columns, [=] DEVICE(int64_t i) {
    const int64_t begin = i / columns * chunkRows, column = i % columns;
    const int64_t end = begin + chunkRows < rows ? begin + chunkRows : rows;
    double sum = 0;
    for (int64_t at = begin * columns + column; at < end * columns; at += columns) {
      const float gradient = y == nullptr || y[at] > 0 ? dy[at] : 0;
      if (dz != nullptr) dz[at] = gradient;
      sum += gradient;
    }
    partials[i] = sum;
  });
  each(stream, columns, [=] DEVICE(int64_t column) {
    double sum = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += partials[chunk * columns + column];
    dbias[column] = static_cast<float>(sum);
  });
}

// ---- Local response normalisation of what cuDNN refuses ----

namespace {

/// The channels around the i-th element that are of its group, as elements.
struct Window {
  int64_t begin, end;
  DEVICE Window(const Lrn& p, int64_t i) {
    const int64_t group = i / p.channels * p.channels;
    begin = i - (p.size - 1) / 2;
    end = begin + p.size;
    if (begin < group) begin = group;
    if (end > group + p.channels) end = group + p.channels;
  }
};

DEVICE float lrnBase(const Lrn& p, const float* x, int64_t i) {
  const Window window(p, i);
  float sum = 0;
  for (int64_t j = window.begin; j < window.end; ++j) sum += x[j] * x[j];
  return p.k + p.scale * sum;
}

}  // namespace

void lrn(cudaStream_t stream, int64_t n, const Lrn& params, const float* x, float* y) {
  each(stream, n, [=, p = params] DEVICE(int64_t i) { y[i] = x[i] * ::powf(lrnBase(p, x, i), -p.beta); });
}

/// The window of an odd size is symmetric: element i is in the windows of those that are in its own.
void lrnBackward(cudaStream_t stream, int64_t n, const Lrn& params, const float* x, const float* dy,
                 float* dx) {
  each(stream, n, [=, p = params] DEVICE(int64_t i) {
    const Window window(p, i);
    float sum = 0;
    for (int64_t j = window.begin; j < window.end; ++j) {
      const float base = lrnBase(p, x, j);
      sum += dy[j] * x[j] * ::powf(base, -p.beta) / base;
    }
    dx[i] = dy[i] * ::powf(lrnBase(p, x, i), -p.beta) - 2 * p.beta * p.scale * x[i] * sum;
  });
}

// ---- Random numbers ----

void dropout(cudaStream_t stream, int64_t n, int64_t width, int64_t stride, const Sequence& sequence,
             uint32_t threshold, float factor, const float* x, float* y) {
  each(stream, (n + 3) / 4, [=, s = sequence] DEVICE(int64_t i) {
    const int64_t block = 4 * i / width * (stride / 4) + 4 * i % width / 4;
    const auto words = Philox{s.seed, s.stream}.block(s.offset + static_cast<uint64_t>(block));
    for (int64_t j = 0; j < 4 && 4 * i + j < n; ++j)
      y[4 * i + j] = words[j] >> 8 >= threshold ? x[4 * i + j] * factor : 0;
  });
}

void randomUniform(cudaStream_t stream, int64_t n, const Sequence& sequence, double a, double b, float below,
                   float* y) {
  each(stream, (n + 3) / 4, [=, s = sequence] DEVICE(int64_t i) {
    const auto words = Philox{s.seed, s.stream}.block(s.offset + static_cast<uint64_t>(i));
    for (int64_t j = 0; j < 4 && 4 * i + j < n; ++j) {
      const float value = static_cast<float>(::fma(b - a, static_cast<double>(toUniform(words[j])), a));
      y[4 * i + j] = value < below ? value : below;
    }
  });
}

/// Box–Muller, in double: see cpu/random.cc.
void randomNormal(cudaStream_t stream, int64_t n, const Sequence& sequence, double mean, double deviation,
                  float* y) {
  each(stream, (n + 1) / 2, [=, s = sequence] DEVICE(int64_t pair) {
    constexpr double kTwoPi = 6.283185307179586;
    const auto words = Philox{s.seed, s.stream}.block(s.offset + static_cast<uint64_t>(pair / 2));
    const int64_t first = pair % 2 * 2, i = 2 * pair;
    const double radius = deviation * ::sqrt(-2 * ::log(1.0 - toUniform(words[first])));
    const double angle = kTwoPi * toUniform(words[first + 1]);
    y[i] = static_cast<float>(mean + radius * ::cos(angle));
    if (i + 1 < n) y[i + 1] = static_cast<float>(mean + radius * ::sin(angle));
  });
}

// ---- Classification ----

namespace {

DEVICE void tell(Fault* fault, Fault::Kind kind, Fault::Op op, int64_t index, int64_t value, int64_t limit) {
  if (kind != Fault::kNotFinite) fault->spoilsGradients = 1;
#ifdef __CUDA_ARCH__
  if (atomicCAS(&fault->kind, static_cast<int32_t>(Fault::kNone), static_cast<int32_t>(kind)) != Fault::kNone)
    return;
#else
  if (fault->kind != Fault::kNone) return;
  fault->kind = kind;
#endif
  fault->op = op;
  fault->index = static_cast<int32_t>(index);
  fault->value = static_cast<int32_t>(value);
  fault->limit = static_cast<int32_t>(limit);
}

DEVICE bool isClass(int32_t label, int64_t classes) { return label >= 0 && label < classes; }

/// One row: y = softmax(x), and with the largest subtracted nothing overflows. Gives ln Σ exp(x) .
DEVICE double softmaxRow(const Group& group, int64_t classes, const float* x, float* y) {
  float largest = x[0];
  for (int64_t c = group.rank; c < classes; c += group.size) largest = ::fmaxf(largest, x[c]);
  largest = group.max(largest);
  double sum = 0;
  for (int64_t c = group.rank; c < classes; c += group.size) {
    y[c] = ::expf(x[c] - largest);
    sum += y[c];
  }
  sum = group.sum(sum);
  const float factor = static_cast<float>(1 / sum);
  for (int64_t c = group.rank; c < classes; c += group.size) y[c] *= factor;
  return ::log(sum) + largest;
}

}  // namespace

void softmax(cudaStream_t stream, int64_t count, int64_t classes, const float* x, float* y) {
  rows(stream, count, [=] DEVICE(const Group& group, int64_t row) {
    softmaxRow(group, classes, x + row * classes, y + row * classes);
  });
}

/// dx = y · (dy · Σ y - Σ dy · y): see cpu/loss.cc.
void softmaxBackward(cudaStream_t stream, int64_t count, int64_t classes, const float* y, const float* dy,
                     float* dx) {
  rows(stream, count, [=] DEVICE(const Group& group, int64_t row) {
    const int64_t begin = row * classes, end = begin + classes;
    double sum = 0, dot = 0;
    for (int64_t i = begin + group.rank; i < end; i += group.size) {
      sum += y[i];
      dot += static_cast<double>(y[i]) * dy[i];
    }
    sum = group.sum(sum);
    dot = group.sum(dot);
    for (int64_t i = begin + group.rank; i < end; i += group.size)
      dx[i] = static_cast<float>(y[i] * (dy[i] * sum - dot));
  });
}

void softmaxCrossEntropy(cudaStream_t stream, int64_t count, int64_t classes, const float* logits,
                         const int32_t* labels, double* losses, float* loss, float* probabilities,
                         Fault* fault) {
  rows(stream, count, [=] DEVICE(const Group& group, int64_t row) {
    const float* x = logits + row * classes;
    const double logSum = softmaxRow(group, classes, x, probabilities + row * classes);
    if (group.rank != 0) return;
    const int32_t label = labels[row];
    losses[row] = isClass(label, classes) ? logSum - x[label] : NAN;
    if (!isClass(label, classes))
      tell(fault, Fault::kLabel, Fault::kSoftmaxCrossEntropy, row, label, classes);
  });
  rows(stream, 1, [=] DEVICE(const Group& group, int64_t) {
    double total = 0;
    for (int64_t row = group.rank; row < count; row += group.size) total += losses[row];
    total = group.sum(total);
    if (group.rank == 0) *loss = static_cast<float>(total / static_cast<double>(count));
  });
}

/// dlogits = (probabilities - 1 at the label) · dloss / N
void softmaxCrossEntropyBackward(cudaStream_t stream, int64_t count, int64_t classes,
                                 const float* probabilities, const int32_t* labels, const float* dloss,
                                 float* dlogits, Fault* fault) {
  each(stream, count * classes, [=] DEVICE(int64_t i) {
    const int64_t row = i / classes, c = i % classes;
    const int32_t label = labels[row];
    if (c == 0 && !isClass(label, classes))
      tell(fault, Fault::kLabel, Fault::kSoftmaxCrossEntropyBackward, row, label, classes);
    dlogits[i] =
        (c == label ? probabilities[i] - 1 : probabilities[i]) * (*dloss / static_cast<float>(count));
  });
}

/// A NaN beats every label's logit, and a label whose logit is NaN is no hit.
void topKHits(cudaStream_t stream, int64_t count, int64_t classes, int64_t k, const float* logits,
              const int32_t* labels, int32_t* hits, Fault* fault) {
  rows(stream, count, [=] DEVICE(const Group& group, int64_t row) {
    const float* x = logits + row * classes;
    const int32_t label = labels[row];
    if (!isClass(label, classes)) {
      if (group.rank != 0) return;
      hits[row] = 0;
      tell(fault, Fault::kLabel, Fault::kTopKHits, row, label, classes);
      return;
    }
    const float own = x[label];
    int better = 0;
    for (int64_t c = group.rank; c < classes; c += group.size)
      better += !(x[c] <= own) || (x[c] == own && c < label) ? 1 : 0;
    better = group.sum(better);
    if (group.rank == 0) hits[row] = own == own && better < k ? 1 : 0;
  });
}

// ---- Optimizers ----

namespace {

/// All bits of the exponent set: no compiler takes it for always finite.
DEVICE bool isFinite(float value) {
  union {
    float number;
    uint32_t bits;
  } both{value};
  return (both.bits & 0x7f800000u) != 0x7f800000u;
}

}  // namespace

void sgdStep(cudaStream_t stream, int64_t n, float momentum, float decay, float rate, const float* g,
             float* w, float* v, Fault* fault) {
  each(stream, n, [=] DEVICE(int64_t i) {
    if (fault->spoilsGradients != 0) return;
    v[i] = momentum * v[i] - decay * w[i] - rate * g[i];
    w[i] += v[i];
    if (!isFinite(w[i])) tell(fault, Fault::kNotFinite, Fault::kSgdStep, 0, 0, 0);
  });
}

void adamStep(cudaStream_t stream, int64_t n, const AdamFactors& factors, const float* g, float* w, float* m,
              float* v, Fault* fault) {
  each(stream, n, [=, f = factors] DEVICE(int64_t i) {
    if (fault->spoilsGradients != 0) return;
    const float gradient = g[i] + f.decay * w[i];
    m[i] = f.beta1 * m[i] + f.gain1 * gradient;
    v[i] = f.beta2 * v[i] + f.gain2 * gradient * gradient;
    w[i] -= f.rate * m[i] / (f.rootScale * ::sqrtf(v[i]) + f.eps);
    if (!isFinite(w[i])) tell(fault, Fault::kNotFinite, Fault::kAdamStep, 0, 0, 0);
  });
}

// ---- Images ----

void prepareImages(cudaStream_t stream, const Crops& crops, Fault* fault) {
  each(stream, crops.count * crops.outHeight * crops.outWidth, [=, p = crops] DEVICE(int64_t pixel) {
    const int64_t column = pixel % p.outWidth, line = pixel / p.outWidth % p.outHeight;
    const int64_t image = pixel / p.outWidth / p.outHeight;
    const int64_t top = p.crops[3 * image], left = p.crops[3 * image + 1];
    const bool fits =
        top >= 0 && left >= 0 && top + p.cropHeight <= p.height && left + p.cropWidth <= p.width;
    if (!fits && line == 0 && column == 0) tell(fault, Fault::kCrop, Fault::kPrepareImages, image, 0, 0);
    if (!fits || line >= p.cropHeight || column >= p.cropWidth) {
      for (int64_t c = 0; c < 3; ++c) p.y[3 * pixel + c] = 0;
      return;
    }
    const bool flip = p.crops[3 * image + 2] != 0;
    const int64_t from = ((top + line) * p.width + left + (flip ? p.cropWidth - 1 - column : column)) * 3;
    const int64_t meanFrom = p.meanIsImage ? (line * p.cropWidth + column) * 3 : 0;
    for (int64_t c = 0; c < 3; ++c) {
      const float value = p.images[image * p.height * p.width * 3 + from + c];
      const float shift = p.shift != nullptr ? p.shift[3 * image + c] : 0;
      const float centred =
          p.meanIsImage ? value - p.mean[meanFrom + c] + shift : value + (shift - p.mean[c]);
      p.y[3 * pixel + c] = centred * p.scale[c];
    }
  });
}

}  // namespace kernels
}  // namespace nodecudnn
