#pragma once
#include <cmath>

#include "core/adam_factors.h"
#include "core/ops.h"

/// What every backend checks of an operation's arguments and works out from them before it computes.
namespace nodecudnn {

/// Of c[m,n] = a[m,k] · b[k,n].
struct Product {
  int64_t m, n, k;
};

/// y[m,n] = x[m,k] · w[n,k]ᵀ + bias[n]
inline Product productOfLinear(const Tensor& x, const Tensor& w, const Tensor* bias, const Tensor& y) {
  const Product p{x.shape[0], w.shape[0], w.shape[1]};
  checkShape("x of linear", x.shape, {p.m, p.k});
  checkShape("y of linear", y.shape, {p.m, p.n});
  if (bias != nullptr) checkShape("bias of linear", bias->shape, {p.n});
  return p;
}

/// dx[m,n] = dy[m,k] · w[k,n]
inline Product productOfLinearData(const Tensor& dy, const Tensor& w, const Tensor& dx) {
  const Product p{dy.shape[0], w.shape[1], w.shape[0]};
  checkShape("dy of linear", dy.shape, {p.m, p.k});
  checkShape("dx of linear", dx.shape, {p.m, p.n});
  return p;
}

/// dw[m,n] = dy[k,m]ᵀ · x[k,n]
inline Product productOfLinearWeight(const Tensor& x, const Tensor& dy, const Tensor& dw) {
  const Product p{dy.shape[1], x.shape[1], x.shape[0]};
  checkShape("dy of linear", dy.shape, {p.k, p.m});
  checkShape("dw of linear", dw.shape, {p.m, p.n});
  return p;
}

inline Product productOfMatmul(const MatmulParams& params, const Tensor& a, const Tensor& b,
                               const Tensor& y) {
  checkRank("a of matmul", a.shape, 2);
  const Product p{a.shape[params.transposeA ? 1 : 0], b.shape[params.transposeB ? 0 : 1],
                  a.shape[params.transposeA ? 0 : 1]};
  checkShape("b of matmul", b.shape, params.transposeB ? Shape{p.n, p.k} : Shape{p.k, p.n});
  checkShape("y of matmul", y.shape, {p.m, p.n});
  return p;
}

/// The channels, which `dbias` has a sum for each of.
inline int64_t channelsOfBiasRelu(const Tensor* y, const Tensor& dy, const Tensor* dz, const Tensor* dbias) {
  CHECK(y != nullptr || dz == nullptr, "Expected y for a biasReluBackward that writes dz");
  CHECK(dy.shape.rank() > 0, "Expected at least one dimension for dy of biasReluBackward");
  if (y != nullptr) checkShape("y", y->shape, dy.shape);
  if (dz != nullptr) checkShape("dz", dz->shape, dy.shape);
  const int64_t channels = dy.shape[dy.shape.rank() - 1];
  if (dbias != nullptr) checkShape("dbias", dbias->shape, Shape{channels});
  return channels;
}

/// Rows of two tensors side by side, and how wide each of the two is.
struct Columns {
  int64_t rows, left, right;
};

/// `y` is `a` and `b` side by side along the last axis; at least one of the two is there.
inline Columns columnsOfCat(const Tensor* a, const Tensor* b, const Tensor& y) {
  const int last = y.shape.rank() - 1;
  CHECK(last >= 0, "Expected at least one dimension for cat");
  const int64_t width = y.shape[last];
  for (const Tensor* part : {a, b}) {
    if (part == nullptr) continue;
    checkRank("a part of cat", part->shape, y.shape.rank());
    Shape wanted;
    for (int axis = 0; axis < last; ++axis) wanted.push(y.shape[axis]);
    wanted.push(part->shape[last]);
    checkShape("a part of cat", part->shape, wanted);
  }
  const int64_t left = a != nullptr ? a->shape[last] : width - b->shape[last];
  const int64_t right = b != nullptr ? b->shape[last] : width - left;
  CHECK(left >= 0 && right >= 0 && left + right == width, "Expected ", width,
        " columns for cat but received ", left, " and ", right);
  return {width > 0 ? y.count() / width : 0, left, right};
}

/// Of rows that are not the whole of what is drawn for each begins with a block of Philox.
inline void checkDropout(const DropoutParams& params, const Tensor& x, const Tensor& y) {
  CHECK(params.p >= 0 && params.p <= 1, "Expected a number from 0 to 1 for p of dropout but received ",
        params.p);
  CHECK(params.width >= x.count() || (params.width > 0 && params.width % 4 == 0 && params.stride % 4 == 0 &&
                                      x.count() % params.width == 0),
        "Expected rows of a multiple of 4 elements for dropout but received ", params.width, " of ",
        params.stride);
  checkShape("y", y.shape, x.shape);
}

/// Of logits and what is computed from them.
inline void checkClasses(const Tensor& x, const Tensor& y) {
  checkRank("logits", x.shape, 2);
  CHECK(x.shape[1] > 0, "Expected at least one class but received shape ", x.shape);
  checkShape("y", y.shape, x.shape);
}

inline void checkSgdStep(const Tensor& g, const Tensor& w, const Tensor& v) {
  checkShape("g", g.shape, w.shape);
  checkShape("v", v.shape, w.shape);
}

inline AdamFactors factorsOfAdam(const AdamParams& params, const Tensor& g, const Tensor& w, const Tensor& m,
                                 const Tensor& v) {
  CHECK(params.step > 0, "Expected positive integer for step of adamStep but received ", params.step);
  checkShape("g", g.shape, w.shape);
  checkShape("m", m.shape, w.shape);
  checkShape("v", v.shape, w.shape);
  const double step = static_cast<double>(params.step);
  AdamFactors f;
  f.beta1 = static_cast<float>(params.beta1);
  f.beta2 = static_cast<float>(params.beta2);
  f.gain1 = static_cast<float>(1 - params.beta1);
  f.gain2 = static_cast<float>(1 - params.beta2);
  f.decay = static_cast<float>(params.weightDecay);
  f.rate = static_cast<float>(params.lr / (1 - std::pow(params.beta1, step)));
  f.rootScale = static_cast<float>(1 / std::sqrt(1 - std::pow(params.beta2, step)));
  f.eps = static_cast<float>(params.eps);
  return f;
}

/// Whether the mean is an image, not a colour. Where the crops lie is up to the backend.
inline bool isMeanImage(const PrepareImagesParams& params, const Tensor& images, const Tensor& crops,
                        const Tensor& mean, const Tensor& scale, const Tensor* shift, const Tensor& y) {
  checkRank("images", images.shape, 4);
  checkRank("y", y.shape, 4);
  const int64_t count = images.shape[0];
  CHECK(images.shape[3] == 3, "Expected 3 channels for images but received shape ", images.shape);
  CHECK(params.cropH > 0 && params.cropW > 0, "Expected a positive size for the crop but received ",
        params.cropH, " x ", params.cropW);
  CHECK(params.cropH <= y.shape[1] && params.cropW <= y.shape[2], "Expected at least ", params.cropH, " x ",
        params.cropW, " pixels, the crop, for y but received shape ", y.shape);
  checkShape("y", y.shape, Shape{count, y.shape[1], y.shape[2], 3});
  checkShape("crops", crops.shape, Shape{count, 3});
  checkShape("scale", scale.shape, Shape{3});
  if (shift != nullptr) checkShape("shift", shift->shape, Shape{count, 3});
  const bool isImage = mean.shape.rank() == 3;
  checkShape("mean", mean.shape, isImage ? Shape{params.cropH, params.cropW, 3} : Shape{3});
  return isImage;
}

}  // namespace nodecudnn
