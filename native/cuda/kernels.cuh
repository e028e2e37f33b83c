#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "core/adam_factors.h"

/// Our kernels, as functions that enqueue them. Pointers are to device memory; `kernels.cu` defines them.
namespace nodecudnn {

/// What kernels found wrong, in device memory: the first is kept until somebody reads from the device. From a
/// label or a crop that is none, first or not, until then optimizers change no weights: gradients may have
/// been computed from it.
struct Fault {
  enum Kind : int32_t { kNone, kNotFinite, kLabel, kCrop };
  enum Op : int32_t {
    kPrepareImages,
    kSoftmaxCrossEntropy,
    kSoftmaxCrossEntropyBackward,
    kTopKHits,
    kSgdStep,
    kAdamStep
  };
  int32_t kind, op, index, value, limit, spoilsGradients;
};

namespace kernels {

// ---- Element by element ----

void relu(cudaStream_t, int64_t n, const float* x, float* y);
void reluBackward(cudaStream_t, int64_t n, const float* y, const float* dy, float* dx);
void tanh(cudaStream_t, int64_t n, const float* x, float* y);
void tanhBackward(cudaStream_t, int64_t n, const float* y, const float* dy, float* dx);
void add(cudaStream_t, int64_t n, const float* a, const float* b, float* y);
/// y = a[…, left] and b[…, right] side by side.
void cat(cudaStream_t, int64_t rows, int64_t left, int64_t right, const float* a, const float* b, float* y);
/// `da` and `db` may be null.
void catBackward(cudaStream_t, int64_t rows, int64_t left, int64_t right, const float* dy, float* da,
                 float* db);
void scale(cudaStream_t, int64_t n, float factor, const float* x, float* y);
void fill(cudaStream_t, int64_t n, float value, float* y);
void fill(cudaStream_t, int64_t n, int32_t value, int32_t* y);
void fill(cudaStream_t, int64_t n, uint8_t value, uint8_t* y);

/// y = relu?(y + bias) over rows of `columns`. `bias` may be null.
void addBiasRelu(cudaStream_t, int64_t rows, int64_t columns, const float* bias, bool relu, float* y);

/// Into how many sums over some rows each the sum over all rows is divided.
int64_t columnSumChunks(int64_t rows);
/// dz = y > 0 ? dy : 0, dbias = Σ dz over the rows. `y` and `dz` may be null. `partials` is memory for
/// columnSumChunks(rows) · columns numbers.
void biasReluBackward(cudaStream_t, int64_t rows, int64_t columns, const float* y, const float* dy, float* dz,
                      double* partials, float* dbias);

// ---- Local response normalisation of what cuDNN refuses ----

/// y = x · (k + scale · Σ x²)^-beta, the sum over `size` channels around each of the same group of
/// `channels`.
struct Lrn {
  int64_t channels, size;
  float scale, beta, k;
};
void lrn(cudaStream_t, int64_t n, const Lrn&, const float* x, float* y);
void lrnBackward(cudaStream_t, int64_t n, const Lrn&, const float* x, const float* dy, float* dx);

// ---- Random numbers ----

struct Sequence {
  uint64_t seed, stream, offset;
};
/// y = word >> 8 >= threshold ? x · factor : 0. Element i has the word of i / width · stride + i % width: see
/// ops.h.
void dropout(cudaStream_t, int64_t n, int64_t width, int64_t stride, const Sequence&, uint32_t threshold,
             float factor, const float* x, float* y);
/// a + (b - a) · u, and `below` where that rounds to more.
void randomUniform(cudaStream_t, int64_t n, const Sequence&, double a, double b, float below, float* y);
void randomNormal(cudaStream_t, int64_t n, const Sequence&, double mean, double deviation, float* y);

// ---- Classification ----

void softmax(cudaStream_t, int64_t rows, int64_t classes, const float* x, float* y);
void softmaxBackward(cudaStream_t, int64_t rows, int64_t classes, const float* y, const float* dy, float* dx);
/// `losses` is memory for a number of each row.
void softmaxCrossEntropy(cudaStream_t, int64_t rows, int64_t classes, const float* logits,
                         const int32_t* labels, double* losses, float* loss, float* probabilities, Fault*);
void softmaxCrossEntropyBackward(cudaStream_t, int64_t rows, int64_t classes, const float* probabilities,
                                 const int32_t* labels, const float* dloss, float* dlogits, Fault*);
void topKHits(cudaStream_t, int64_t rows, int64_t classes, int64_t k, const float* logits,
              const int32_t* labels, int32_t* hits, Fault*);

// ---- Optimizers ----

/// v = momentum · v - decay · w - rate · g; w += v
void sgdStep(cudaStream_t, int64_t n, float momentum, float decay, float rate, const float* g, float* w,
             float* v, Fault*);

void adamStep(cudaStream_t, int64_t n, const AdamFactors&, const float* g, float* w, float* m, float* v,
              Fault*);

// ---- Images ----

struct Crops {
  int64_t count, height, width, cropHeight, cropWidth, outHeight, outWidth;
  const uint8_t* images;
  const int32_t* crops;               // (top, left, flip) of each image.
  const float *mean, *scale, *shift;  // `shift` may be null.
  bool meanIsImage;
  float* y;
};
void prepareImages(cudaStream_t, const Crops&, Fault*);

}  // namespace kernels
}  // namespace nodecudnn
