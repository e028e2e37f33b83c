#include "cpu/conv2d.h"

#include "cpu/conv2d_table.h"

namespace nodecudnn {
namespace {

void run(Context& context, Conv2dPass pass, const Conv2dShape& shape, const Tensor& a, const Tensor& b,
         const Tensor* bias, Tensor& out) {
  const Conv2dImplementation& implementation = chooseConv2d(context.isa, pass, shape, context.forcedConv2d);
  context.implementation = implementation.name;
  implementation.run(context, pass, shape, a.f32(), b.f32(), bias != nullptr ? bias->f32() : nullptr,
                     out.f32());
}

}  // namespace

void conv2d(Context& context, const Conv2dParams& params, const Tensor& x, const Tensor& w,
            const Tensor* bias, Tensor& y) {
  run(context, Conv2dPass::Forward, shapeOf(params, x, w, bias, y), x, w, bias, y);
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
