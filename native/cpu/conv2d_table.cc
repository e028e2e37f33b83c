#include "cpu/conv2d_table.h"

namespace nodecudnn {
namespace {

const Conv2dImplementation* const kImplementations[] = {&conv2dOneDnn, &conv2dOneDnnJit, &conv2dBlocked,
                                                        &conv2dIm2col};

struct Row {
  Isa isa;
  Conv2dPass pass;
  bool (*matches)(const Conv2dShape&);
  const Conv2dImplementation& implementation;
};

const Row kRows[] = {
    {Isa::Avx512, Conv2dPass::Filter, [](const Conv2dShape&) { return true; }, conv2dBlocked},
};

const Conv2dImplementation& find(const std::string& name) {
  for (const Conv2dImplementation* implementation : kImplementations)
    if (name == implementation->name) return *implementation;
  throw Error(ErrorCode::Argument,
              concat("Expected onednn, jit, blocked or im2col for NODE_CUDNN_CONV2D but received ", name));
}

}  // namespace

const Conv2dImplementation& chooseConv2d(Isa isa, Conv2dPass pass, const Conv2dShape& shape,
                                         const std::string& forced) {
  if (!forced.empty() && find(forced).supports(pass, shape)) return find(forced);
  for (const Row& row : kRows)
    if (row.isa == isa && row.pass == pass && row.matches(shape)) return row.implementation;
  return conv2dOneDnn;
}

}  // namespace nodecudnn
