#pragma once
#include <tuple>

#include "core/tensor.h"

/// THE CONTRACT. Every backend defines every function declared here; one that is missing fails the link.
///
/// - Functions run in the order of their device's stream. `const Tensor&` is read, `Tensor&` is written,
///   pointers are arguments that may be absent.
/// - Activations are NHWC, filters KRSC, weights of `linear` [out, in], all float32; labels int32 [N].
/// - A backward overwrites its outputs, it never adds to them.
/// - Outputs do not overlap inputs.
/// - `…Save` is asked when the operation is enqueued: what the forward keeps for its backward.
/// - Without a backward to come (inference) the forward gets no `saved`.
/// - Shapes were checked by lib/ops; a CHECK here guards against the callers of the raw addon only.
/// - A parameter struct lists its fields once, by the names that TypeScript uses.
namespace nodecudnn {

class Context;  // A device's state (libraries' handles, plans, workspace), defined by the backend.

template <class P, class T>
struct Field {
  const char* name;
  T P::* member;
};
template <class P, class T>
Field(const char*, T P::*) -> Field<P, T>;

// ---- Convolution ------------------------------------------------------------------------------------------

struct Conv2dParams {
  int64_t strideH, strideW, padH, padW, dilationH, dilationW, groups;
  bool relu;
  static constexpr auto fields() {
    using P = Conv2dParams;
    return std::make_tuple(Field{"strideH", &P::strideH}, Field{"strideW", &P::strideW},
                           Field{"padH", &P::padH}, Field{"padW", &P::padW},
                           Field{"dilationH", &P::dilationH}, Field{"dilationW", &P::dilationW},
                           Field{"groups", &P::groups}, Field{"relu", &P::relu});
  }
};

/// y[N,OH,OW,K] = relu?(x[N,H,W,C] * w[K,R,S,C/groups] + bias[K])
void conv2d(Context&, const Conv2dParams&, const Tensor& x, const Tensor& w, const Tensor* bias, Tensor& y);
/// `dy` is the gradient before the ReLU (see biasReluBackward); `relu` is ignored.
void conv2dBackwardData(Context&, const Conv2dParams&, const Tensor& dy, const Tensor& w, Tensor& dx);
void conv2dBackwardFilter(Context&, const Conv2dParams&, const Tensor& x, const Tensor& dy, Tensor& dw);

/// The backward of a fused bias and ReLU over rows of y[…, C]: dz = y > 0 ? dy : 0, dbias[C] = Σ dz.
/// Without `y` there was no ReLU, and `dz` is absent too.
void biasReluBackward(Context&, const Tensor* y, const Tensor& dy, Tensor* dz, Tensor* dbias);

// ---- Local response normalisation -------------------------------------------------------------------------

struct LrnParams {
  int64_t size;
  double alpha, beta, k;
  int64_t groups;
  static constexpr auto fields() {
    using P = LrnParams;
    return std::make_tuple(Field{"size", &P::size}, Field{"alpha", &P::alpha}, Field{"beta", &P::beta},
                           Field{"k", &P::k}, Field{"groups", &P::groups});
  }
};

/// y = x / (k + alpha/size · Σ x²)^beta, the sum over `size` neighbouring channels of the same group.
std::vector<SavedSpec> lrnSave(const LrnParams&, const Shape& x, const Shape& y);
void lrn(Context&, const LrnParams&, const Tensor& x, Tensor& y, Saved* saved);
void lrnBackward(Context&, const LrnParams&, const Saved& saved, const Tensor& dy, Tensor& dx);

// ---- Pooling ----------------------------------------------------------------------------------------------

struct MaxPool2dParams {
  int64_t kernelH, kernelW, strideH, strideW, padH, padW;
  static constexpr auto fields() {
    using P = MaxPool2dParams;
    return std::make_tuple(Field{"kernelH", &P::kernelH}, Field{"kernelW", &P::kernelW},
                           Field{"strideH", &P::strideH}, Field{"strideW", &P::strideW},
                           Field{"padH", &P::padH}, Field{"padW", &P::padW});
  }
};

/// Windows may overlap (kernel > stride). The gradient goes to the first maximum in row-major order.
std::vector<SavedSpec> maxPool2dSave(const MaxPool2dParams&, const Shape& x, const Shape& y);
void maxPool2d(Context&, const MaxPool2dParams&, const Tensor& x, Tensor& y, Saved* saved);
void maxPool2dBackward(Context&, const MaxPool2dParams&, const Saved& saved, const Tensor& dy, Tensor& dx);

// ---- Matrix products --------------------------------------------------------------------------------------

struct LinearParams {
  bool relu;
  static constexpr auto fields() { return std::make_tuple(Field{"relu", &LinearParams::relu}); }
};

/// y[N,out] = relu?(x[N,in] · w[out,in]ᵀ + bias[out])
void linear(Context&, const LinearParams&, const Tensor& x, const Tensor& w, const Tensor* bias, Tensor& y);
void linearBackwardData(Context&, const Tensor& dy, const Tensor& w, Tensor& dx);
void linearBackwardWeight(Context&, const Tensor& x, const Tensor& dy, Tensor& dw);

struct MatmulParams {
  bool transposeA, transposeB;
  static constexpr auto fields() {
    return std::make_tuple(Field{"transposeA", &MatmulParams::transposeA},
                           Field{"transposeB", &MatmulParams::transposeB});
  }
};

/// y[M,N] = op(a) · op(b). Its gradients are products of the same kind.
void matmul(Context&, const MatmulParams&, const Tensor& a, const Tensor& b, Tensor& y);

// ---- Element by element -----------------------------------------------------------------------------------

void relu(Context&, const Tensor& x, Tensor& y);
void reluBackward(Context&, const Tensor& y, const Tensor& dy, Tensor& dx);
void tanh(Context&, const Tensor& x, Tensor& y);
void tanhBackward(Context&, const Tensor& y, const Tensor& dy, Tensor& dx);
void add(Context&, const Tensor& a, const Tensor& b, Tensor& y);

struct ScaleParams {
  double factor;
  static constexpr auto fields() { return std::make_tuple(Field{"factor", &ScaleParams::factor}); }
};
void scale(Context&, const ScaleParams&, const Tensor& x, Tensor& y);

struct FillParams {
  double value;
  static constexpr auto fields() { return std::make_tuple(Field{"value", &FillParams::value}); }
};
/// Any dtype.
void fill(Context&, const FillParams&, Tensor& y);

/// y[…, A + B] = a[…, A] and b[…, B] side by side.
void cat(Context&, const Tensor& a, const Tensor& b, Tensor& y);
void catBackward(Context&, const Tensor& dy, Tensor* da, Tensor* db);

// ---- Random numbers (philox.h) ----------------------------------------------------------------------------

struct DropoutParams {
  double p, scale;
  int64_t seed, stream, offset, width, stride;
  static constexpr auto fields() {
    using P = DropoutParams;
    return std::make_tuple(Field{"p", &P::p}, Field{"scale", &P::scale}, Field{"seed", &P::seed},
                           Field{"stream", &P::stream}, Field{"offset", &P::offset},
                           Field{"width", &P::width}, Field{"stride", &P::stride});
  }
};
/// y[i] = u(j) >= p ? x[i] · scale : 0, with u(j) the uniform number at block `offset` + j / 4, word j % 4,
/// and j = i / width · stride + i % width: x may be some columns of what is drawn for. Where there are
/// several rows of `width`, both are multiples of 4. It is its own backward: no mask is stored.
void dropout(Context&, const DropoutParams&, const Tensor& x, Tensor& y);

struct RandomParams {
  double a, b;
  int64_t seed, stream, offset;
  static constexpr auto fields() {
    using P = RandomParams;
    return std::make_tuple(Field{"a", &P::a}, Field{"b", &P::b}, Field{"seed", &P::seed},
                           Field{"stream", &P::stream}, Field{"offset", &P::offset});
  }
};
/// Uniform in [a, b).
void randomUniform(Context&, const RandomParams&, Tensor& y);
/// Normal with mean a and standard deviation b: Box–Muller on the words (0, 1) and (2, 3) of each block.
void randomNormal(Context&, const RandomParams&, Tensor& y);

// ---- Classification ---------------------------------------------------------------------------------------

/// Over the last axis of [N, C].
void softmax(Context&, const Tensor& x, Tensor& y);
void softmaxBackward(Context&, const Tensor& y, const Tensor& dy, Tensor& dx);

/// loss[] = mean over the batch of −log softmax(logits)[label]; `probabilities` is what the backward needs.
void softmaxCrossEntropy(Context&, const Tensor& logits, const Tensor& labels, Tensor& loss,
                         Tensor& probabilities);
void softmaxCrossEntropyBackward(Context&, const Tensor& probabilities, const Tensor& labels,
                                 const Tensor& dloss, Tensor& dlogits);

struct TopKParams {
  int64_t k;
  static constexpr auto fields() { return std::make_tuple(Field{"k", &TopKParams::k}); }
};
/// hits[N] (int32): 1 where fewer than k classes beat the label; of equal logits the lower index is first.
void topKHits(Context&, const TopKParams&, const Tensor& logits, const Tensor& labels, Tensor& hits);

// ---- Optimizers -------------------------------------------------------------------------------------------

/// `w` and the optimizer's state are updated in place. Fails with NotFinite, at the latest when a result is
/// next read, where a weight is not finite afterwards: behind a ReLU such weights may go unseen.

struct SgdParams {
  double lr, momentum, weightDecay;
  static constexpr auto fields() {
    using P = SgdParams;
    return std::make_tuple(Field{"lr", &P::lr}, Field{"momentum", &P::momentum},
                           Field{"weightDecay", &P::weightDecay});
  }
};
/// The paper's section 5: v ← momentum·v − weightDecay·lr·w − lr·g; w ← w + v.
void sgdStep(Context&, const SgdParams&, const Tensor& g, Tensor& w, Tensor& v);

struct AdamParams {
  double lr, beta1, beta2, eps, weightDecay;
  int64_t step;
  static constexpr auto fields() {
    using P = AdamParams;
    return std::make_tuple(Field{"lr", &P::lr}, Field{"beta1", &P::beta1}, Field{"beta2", &P::beta2},
                           Field{"eps", &P::eps}, Field{"weightDecay", &P::weightDecay},
                           Field{"step", &P::step});
  }
};
/// Kingma and Ba, 2015, algorithm 1; `step` counts from 1; weight decay is added to the gradient.
void adamStep(Context&, const AdamParams&, const Tensor& g, Tensor& w, Tensor& m, Tensor& v);

// ---- Images -----------------------------------------------------------------------------------------------

struct PrepareImagesParams {
  int64_t cropH, cropW;
  static constexpr auto fields() {
    using P = PrepareImagesParams;
    return std::make_tuple(Field{"cropH", &P::cropH}, Field{"cropW", &P::cropW});
  }
};

/// y[N,OH,OW,3] = (image[N,H,W,3] (uint8) cropped at crops[n] = (top, left, flip) + shift[N,3] − mean) ·
/// scale[3] at the top left, and 0 right of the crop and under it. `mean` is [3], or [cropH,cropW,3]: the
/// same for every crop, flipped or not.
void prepareImages(Context&, const PrepareImagesParams&, const Tensor& images, const Tensor& crops,
                   const Tensor& mean, const Tensor& scale, const Tensor* shift, Tensor& y);

}  // namespace nodecudnn
