#include "cpu/conv2d.h"

#include "cpu/conv2d_table.h"

namespace nodecudnn {
namespace {

int64_t outputSize(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
  return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
}

Conv2dShape shapeOf(const Conv2dParams& p, const Tensor& x, const Tensor& w, const Tensor& y) {
  CHECK(x.shape.rank() == 4 && w.shape.rank() == 4 && y.shape.rank() == 4,
        "Expected rank 4 for the tensors of conv2d but received ", x.shape, ", ", w.shape, " and ", y.shape);
  const Conv2dShape q{x.shape[0], x.shape[1],  x.shape[2],  x.shape[3], w.shape[0], w.shape[1],
                      w.shape[2], y.shape[1],  y.shape[2],  p.strideH,  p.strideW,  p.padH,
                      p.padW,     p.dilationH, p.dilationW, p.groups,   false,      false};
  CHECK(q.groups > 0 && q.c % q.groups == 0 && q.k % q.groups == 0 && w.shape[3] == q.groupC(),
        "Expected channels in ", q.groups, " groups for conv2d but received x ", x.shape, " and w ", w.shape);
  CHECK(y.shape == (Shape{q.n, outputSize(q.h, q.r, q.strideH, q.padH, q.dilationH),
                          outputSize(q.w, q.s, q.strideW, q.padW, q.dilationW), q.k}),
        "Expected another shape for the output of conv2d of ", x.shape, " and ", w.shape, " but received ",
        y.shape);
  return q;
}

void run(Context& context, Conv2dPass pass, const Conv2dShape& shape, const Tensor& a, const Tensor& b,
         const Tensor* bias, Tensor& out) {
  const Conv2dImplementation& implementation = chooseConv2d(context.isa, pass, shape, context.forcedConv2d);
  implementation.run(context, pass, shape, a.f32(), b.f32(), bias != nullptr ? bias->f32() : nullptr,
                     out.f32());
}

}  // namespace

void conv2d(Context& context, const Conv2dParams& params, const Tensor& x, const Tensor& w,
            const Tensor* bias, Tensor& y) {
  Conv2dShape shape = shapeOf(params, x, w, y);
  shape.relu = params.relu;
  shape.bias = bias != nullptr;
  CHECK(bias == nullptr || bias->shape == Shape{shape.k}, "Expected ", shape.k,
        " elements for the bias of conv2d but received ", bias->shape);
  run(context, Conv2dPass::Forward, shape, x, w, bias, y);
}

void conv2dBackwardData(Context& context, const Conv2dParams& params, const Tensor& dy, const Tensor& w,
                        Tensor& dx) {
  run(context, Conv2dPass::Data, shapeOf(params, dx, w, dy), dy, w, nullptr, dx);
}

void conv2dBackwardFilter(Context& context, const Conv2dParams& params, const Tensor& x, const Tensor& dy,
                          Tensor& dw) {
  run(context, Conv2dPass::Filter, shapeOf(params, x, dw, dy), x, dy, nullptr, dw);
}

}  // namespace nodecudnn
