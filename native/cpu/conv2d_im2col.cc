#include <cstring>

#include "cpu/conv2d.h"
#include "cpu/gemm.h"
#include "cpu/kernel.h"

/// Convolution as matrix products: the patches of some output pixels become the rows of a matrix P[pixels,
/// filter], so that y = P·wᵀ, dw = dyᵀ·P, and dP = dy·w, whose rows are added back to where they came from.
namespace nodecudnn {
namespace {

enum Slot { kColumns = 1, kPartials };

/// Patches of this size stay in a core's second-level cache from the copy to the product.
constexpr int64_t kChunkElements = (int64_t{1} << 20) / sizeof(float);
/// Larger filters are read too often for that, and a gradient of them for each thread takes too much memory:
/// then the threads share each product, of patches of this size.
constexpr int64_t kSharedFilters = (int64_t{16} << 20) / sizeof(float);
constexpr int64_t kSharedPartials = (int64_t{256} << 20) / sizeof(float);
constexpr int64_t kSharedChunkElements = (int64_t{32} << 20) / sizeof(float);

bool isShared(const Context& context, const Conv2dShape& q) {
  const int64_t filters = q.k * q.filter();
  return filters > kSharedFilters || (context.threads - 1) * filters > kSharedPartials;
}

/// Calls visit(column, element of x, length) for the runs of an output pixel's patch that lie inside of the
/// image. Pixels are counted over the whole batch.
template <class Visit>
INLINE void visitPatch(const Conv2dShape& q, int64_t group, int64_t pixel, Visit visit) {
  const int64_t image = pixel / (q.oh * q.ow), top = pixel / q.ow % q.oh * q.strideH - q.padH;
  const int64_t left = pixel % q.ow * q.strideW - q.padW, channels = q.groupC();
  const bool contiguous = q.dilationW == 1 && q.groups == 1;
  const int64_t begin = std::max<int64_t>(0, (-left + q.dilationW - 1) / q.dilationW);
  const int64_t end = std::min(q.s, (q.w - left + q.dilationW - 1) / q.dilationW);
  for (int64_t r = 0; r < q.r; ++r) {
    const int64_t row = top + r * q.dilationH;
    if (row < 0 || row >= q.h || begin >= end) continue;
    const int64_t source = ((image * q.h + row) * q.w + left) * q.c + group * channels;
    const int64_t column = r * q.s * channels;
    if (contiguous)
      visit(column + begin * channels, source + begin * channels, (end - begin) * channels);
    else
      for (int64_t s = begin; s < end; ++s)
        visit(column + s * channels, source + s * q.dilationW * q.c, channels);
  }
}

/// The patches of the pixels [begin, end), zero where they reach over the image's edge.
void gather(const Conv2dShape& q, const float* x, int64_t group, int64_t begin, int64_t end, float* columns) {
  const int64_t filter = q.filter();
  for (int64_t pixel = begin; pixel < end; ++pixel, columns += filter) {
    int64_t copied = 0;
    visitPatch(q, group, pixel, [&](int64_t, int64_t, int64_t length) { copied += length; });
    if (copied < filter) std::memset(columns, 0, filter * sizeof(float));
    visitPatch(q, group, pixel, [&](int64_t column, int64_t source, int64_t length) {
      std::memcpy(columns + column, x + source, length * sizeof(float));
    });
  }
}

/// Adds the patches of the pixels [begin, end) to the image.
SIMD_CLONES void scatter(const Conv2dShape& q, const float* columns, int64_t group, int64_t begin,
                         int64_t end, float* dx) {
  for (int64_t pixel = begin; pixel < end; ++pixel, columns += q.filter())
    visitPatch(q, group, pixel, [&](int64_t column, int64_t target, int64_t length) {
      for (int64_t i = 0; i < length; ++i) dx[target + i] += columns[column + i];
    });
}

/// Calls body(part, begin, end) with a range of `count` things for each of at most `threads` parts.
template <class Body>
void forParts(int parts, int64_t count, Body body) {
  parallelFor(parts, parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part)
      body(part, count * part / parts, count * (part + 1) / parts);
  });
}

/// Into how many parts, each of one thread, `pieces` are divided. In one part the products are parallel.
int partsFor(const Context& context, const Conv2dShape& q, int64_t pieces) {
  if (isShared(context, q)) return 1;
  return static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(context.threads, pieces)));
}

/// The matrix of patches of each part, and how its pixels are taken in pieces.
class Columns {
 public:
  Columns(Context& context, const Conv2dShape& q, int parts)
      : pixels_(std::max<int64_t>(
            16, (isShared(context, q) ? kSharedChunkElements : kChunkElements) / q.filter())),
        stride_(pixels_ * q.filter()),
        data_(context.workspace<float>(kColumns, parts * stride_)) {}

  /// Calls chunk(begin, end, columns) for the pixels [begin, end) in pieces.
  template <class Chunk>
  void forChunks(int64_t part, int64_t begin, int64_t end, Chunk chunk) const {
    for (int64_t pixel = begin; pixel < end; pixel += pixels_)
      chunk(pixel, std::min(end, pixel + pixels_), data_ + part * stride_);
  }

 private:
  int64_t pixels_, stride_;
  float* data_;
};

void forward(Context& context, const Conv2dShape& q, const float* x, const float* w, const float* bias,
             float* y) {
  const int64_t pixels = q.n * q.oh * q.ow, filter = q.filter();
  const int parts = partsFor(context, q, pixels / 16);
  const Columns chunks(context, q, parts);
  forParts(parts, pixels, [&](int64_t part, int64_t first, int64_t last) {
    chunks.forChunks(part, first, last, [&](int64_t begin, int64_t end, float* columns) {
      for (int64_t group = 0; group < q.groups; ++group) {
        gather(q, x, group, begin, end, columns);
        gemm(false, true, end - begin, q.groupK(), filter, columns, filter, w + group * q.groupK() * filter,
             filter, 0, y + begin * q.k + group * q.groupK(), q.k);
      }
      addBiasRelu(end - begin, q.k, q.k, bias, q.relu, y + begin * q.k);
    });
  });
}

/// Parallel over images: patches overlap inside of one.
void backwardData(Context& context, const Conv2dShape& q, const float* dy, const float* w, float* dx) {
  const int64_t filter = q.filter(), imagePixels = q.oh * q.ow, imageElements = q.h * q.w * q.c;
  const int parts = q.n < context.threads ? 1 : partsFor(context, q, q.n);
  const Columns chunks(context, q, parts);
  forParts(parts, q.n, [&](int64_t part, int64_t firstImage, int64_t lastImage) {
    std::memset(dx + firstImage * imageElements, 0, (lastImage - firstImage) * imageElements * sizeof(float));
    chunks.forChunks(part, firstImage * imagePixels, lastImage * imagePixels,
                     [&](int64_t begin, int64_t end, float* columns) {
                       for (int64_t group = 0; group < q.groups; ++group) {
                         gemm(false, false, end - begin, filter, q.groupK(),
                              dy + begin * q.k + group * q.groupK(), q.k, w + group * q.groupK() * filter,
                              filter, 0, columns, filter);
                         scatter(q, columns, group, begin, end, dx);
                       }
                     });
  });
}

/// Each part sums over its own pixels, the first into dw; the sums are added in the order of the parts.
void backwardFilter(Context& context, const Conv2dShape& q, const float* x, const float* dy, float* dw) {
  const int64_t pixels = q.n * q.oh * q.ow, filter = q.filter(), weights = q.k * filter;
  const int parts = partsFor(context, q, pixels / 16);
  const Columns chunks(context, q, parts);
  float* const partials = parts > 1 ? context.workspace<float>(kPartials, (parts - 1) * weights) : nullptr;
  forParts(parts, pixels, [&](int64_t part, int64_t first, int64_t last) {
    float* sum = part == 0 ? dw : partials + (part - 1) * weights;
    chunks.forChunks(part, first, last, [&](int64_t begin, int64_t end, float* columns) {
      for (int64_t group = 0; group < q.groups; ++group) {
        gather(q, x, group, begin, end, columns);
        gemm(true, false, q.groupK(), filter, end - begin, dy + begin * q.k + group * q.groupK(), q.k,
             columns, filter, begin == first ? 0 : 1, sum + group * q.groupK() * filter, filter);
      }
    });
  });
  for (int part = 1; part < parts; ++part) addTo(context, weights, partials + (part - 1) * weights, dw);
}

void run(Context& context, Conv2dPass pass, const Conv2dShape& q, const float* a, const float* b,
         const float* bias, float* out) {
  switch (pass) {
    case Conv2dPass::Forward:
      return forward(context, q, a, b, bias, out);
    case Conv2dPass::Data:
      return backwardData(context, q, a, b, out);
    case Conv2dPass::Filter:
      return backwardFilter(context, q, a, b, out);
  }
}

bool supports(Conv2dPass, const Conv2dShape&) { return true; }

}  // namespace

const Conv2dImplementation conv2dIm2col{"im2col", supports, run};

}  // namespace nodecudnn
