#include "cpu/conv2d.h"
#include "cpu/gemm.h"
#include "cpu/winograd_transforms.h"

/// Winograd's convolution over whole batches: their tiles are transformed, multiplied and transformed back in
/// chunks that stay near to a core. The mathematics is in winograd_transforms.h.
namespace nodecudnn {
namespace {

using namespace winograd;

enum Slot { kTiles = 1, kFilters };

/// Images that tiles are read from or written to. Tile (0, 0) begins `padH` rows above and `padW` columns
/// before the first pixel.
struct Images {
  int64_t h, w, channels, padH, padW;
};

/// A forward convolution in tiles, which are counted over the whole batch. The data gradient is one, of dy.
struct Tiling {
  int64_t n, groups, kernel, outputs;
  Images x, y;
  int64_t tilesH, tilesW;

  Tiling(Conv2dPass pass, const Conv2dShape& q)
      : n(q.n),
        groups(q.groups),
        kernel(q.r),
        outputs(kernel == 3 ? 4 : 3),
        x{q.h, q.w, q.c, q.padH, q.padW},
        y{q.oh, q.ow, q.k, 0, 0} {
    if (pass == Conv2dPass::Data) {
      x = {q.oh, q.ow, q.k, kernel - 1 - q.padH, kernel - 1 - q.padW};
      y = {q.h, q.w, q.c, 0, 0};
    }
    tilesH = (y.h + outputs - 1) / outputs;
    tilesW = (y.w + outputs - 1) / outputs;
  }

  int64_t tiles() const { return n * tilesH * tilesW; }
  int64_t points() const { return (outputs + kernel - 1) * (outputs + kernel - 1); }
  int64_t groupC() const { return x.channels / groups; }
  int64_t groupK() const { return y.channels / groups; }
  /// Elements of all transformed filters.
  int64_t filters() const { return points() * x.channels * groupK(); }
};

/// Calls body with the algorithm for the size of the kernel.
template <class Body>
INLINE void withAlgorithm(const Tiling& t, Body body) {
  if (t.kernel == 3)
    body(Algorithm<4, 3>{});
  else
    body(Algorithm<3, 5>{});
}

/// Where each of kSize × kSize pixels of a tile begins; `outside` where there is none. The tiles are kStep
/// pixels apart.
template <int kStep, int kSize, class Element>
INLINE void locate(const Tiling& t, const Images& images, int64_t tile, Element* data, Element* outside,
                   Element** pixels) {
  const int64_t image = tile / (t.tilesH * t.tilesW);
  const int64_t top = tile / t.tilesW % t.tilesH * kStep - images.padH;
  const int64_t left = tile % t.tilesW * kStep - images.padW;
  for (int64_t row = top; row < top + kSize; ++row)
    for (int64_t column = left; column < left + kSize; ++column) {
      const bool inside = row >= 0 && row < images.h && column >= 0 && column < images.w;
      const int64_t pixel = (image * images.h + row) * images.w + column;
      *pixels++ = inside ? data + pixel * images.channels : outside;
    }
}

/// Calls visit(tile, where its pixels begin, where those of the next begin, to be prefetched: hardware does
/// not see so many rows coming) for the tiles [begin, end). The last is its own next.
template <int kStep, int kSize, class Element, class Visit>
INLINE void forTiles(const Tiling& t, const Images& images, int64_t begin, int64_t end, Element* data,
                     Element* outside, Visit visit) {
  Element* places[2][kSize * kSize];
  locate<kStep, kSize>(t, images, begin, data, outside, places[0]);
  for (int64_t tile = begin; tile < end; ++tile) {
    Element **const pixels = places[(tile - begin) % 2], **const next = places[(tile - begin + 1) % 2];
    locate<kStep, kSize>(t, images, std::min(tile + 1, end - 1), data, outside, next);
    visit(tile, pixels, next);
  }
}

/// Transformed tiles, those of a chunk: for each point tiles of channels. The points are no power of two
/// apart, lest they share the lines of the first-level cache.
struct Chunk {
  float* data;
  int64_t channels, step;

  static int64_t stepOf(int64_t tiles, int64_t channels) { return (tiles * channels + 15) / 16 * 16 + 16; }
};

/// The tiles [begin, end), kMatrix applied to both of their dimensions. `zeros` are as many as channels. The
/// second-level cache takes what the next tile has and this one has not: the first is full of tiles.
template <int kFloats, class Algorithm, const auto& kMatrix>
INLINE void readTiles(const Tiling& t, const Images& images, const float* data, const float* zeros,
                      int64_t begin, int64_t end, const Chunk& chunk) {
  constexpr int kPoints = Algorithm::kT * Algorithm::kT, kSize = std::size(kMatrix.at[0]);
  const auto read = [&](int64_t tile, const float** pixels, const float** next) INLINE_LAMBDA {
    float* const to = chunk.data + (tile - begin) * chunk.channels;
    forChannels<kFloats>(chunk.channels, [&](int64_t i, auto floats) INLINE_LAMBDA {
      constexpr int kCount = floats;
      using Value = typename Vector<kCount>::Value;
      Value in[kSize * kSize], out[kPoints];
      unroll<kSize * kSize>([&](auto p) INLINE_LAMBDA {
        constexpr bool kIsNew = p % kSize >= kSize - Algorithm::kM;
        if constexpr (kIsNew && kCount > 1) __builtin_prefetch(next[p] + i, 0, 2);
      });
      unroll<kSize * kSize>([&](auto p) INLINE_LAMBDA { load<kCount>(pixels[p] + i, in[p]); });
      toPoints2d<kMatrix>(in, out);
      unroll<kPoints>([&](auto p) INLINE_LAMBDA { store<kCount>(out[p], to + p * chunk.step + i); });
    });
  };
  forTiles<Algorithm::kM, kSize>(t, images, begin, end, data, zeros, read);
}

/// V = Bᵀ d B
template <int kFloats>
INLINE void transformInput(const Tiling& t, const float* x, const float* zeros, int64_t begin, int64_t end,
                           const Chunk& v) {
  withAlgorithm(t, [&](auto algorithm) INLINE_LAMBDA {
    using A = decltype(algorithm);
    readTiles<kFloats, A, A::kB>(t, t.x, x, zeros, begin, end, v);
  });
}

/// dM = A dY Aᵀ
template <int kFloats>
INLINE void transformGradient(const Tiling& t, const float* dy, const float* zeros, int64_t begin,
                              int64_t end, const Chunk& m) {
  withAlgorithm(t, [&](auto algorithm) INLINE_LAMBDA {
    using A = decltype(algorithm);
    readTiles<kFloats, A, A::kA>(t, t.y, dy, zeros, begin, end, m);
  });
}

/// Y = Aᵀ M A of the tiles [begin, end), with bias and ReLU. `nowhere` takes what lies outside of the image.
template <int kFloats>
INLINE void transformOutput(const Tiling& t, const Chunk& m, int64_t begin, int64_t end, const float* bias,
                            bool relu, float* nowhere, float* y) {
  withAlgorithm(t, [&](auto algorithm) INLINE_LAMBDA {
    using A = decltype(algorithm);
    constexpr int kPoints = A::kT * A::kT, kOutputs = A::kM * A::kM;
    const auto write = [&](int64_t tile, float** pixels, float** next) INLINE_LAMBDA {
      const float* const from = m.data + (tile - begin) * m.channels;
      forChannels<kFloats>(m.channels, [&](int64_t i, auto floats) INLINE_LAMBDA {
        constexpr int kCount = floats;
        using Value = typename Vector<kCount>::Value;
        Value in[kPoints], out[kOutputs], shift{};
        unroll<kOutputs>([&](auto p) INLINE_LAMBDA {
          if constexpr (kCount > 1) __builtin_prefetch(next[p] + i, 1, 2);
        });
        unroll<kPoints>([&](auto p) INLINE_LAMBDA { load<kCount>(from + p * m.step + i, in[p]); });
        fromPoints2d<A::kA>(in, out);
        if (bias != nullptr) load<kCount>(bias + i, shift);
        unroll<kOutputs>([&](auto p) INLINE_LAMBDA {
          out[p] += shift;
          if (relu) out[p] = out[p] < 0 ? 0 : out[p];
          store<kCount>(out[p], pixels[p] + i);
        });
      });
    };
    forTiles<A::kM, A::kM>(t, t.y, begin, end, y, nowhere, write);
  });
}

/// U[point][group][input channel][output channel] = G g Gᵀ for input channels [begin, end), counted over the
/// groups. The data gradient's input is dy, and its filters are turned by half a turn.
template <int kFloats>
INLINE void transformFilters(const Tiling& t, Conv2dPass pass, const float* w, int64_t begin, int64_t end,
                             float* u) {
  const bool turned = pass == Conv2dPass::Data;
  const int64_t size = t.kernel * t.kernel, inputs = t.groupC(), outputs = t.groupK();
  // In w[filters][kernel][kernel][channels of a group].
  const int64_t pixelStep = turned ? outputs : inputs;
  const int64_t inputStep = turned ? size * outputs : 1, outputStep = turned ? 1 : size * inputs;
  withAlgorithm(t, [&](auto algorithm) INLINE_LAMBDA {
    using A = decltype(algorithm);
    constexpr int kPoints = A::kT * A::kT, kSize = A::kR * A::kR;
    for (int64_t row = begin; row < end; ++row) {
      const float* const from = w + row / inputs * inputs * outputs * size + row % inputs * inputStep;
      forChannels<kFloats>(outputs, [&](int64_t i, auto floats) INLINE_LAMBDA {
        constexpr int kCount = floats;
        using Value = typename Vector<kCount>::Value;
        Value in[kSize]{}, out[kPoints];
        unroll<kSize>([&](auto p) INLINE_LAMBDA {
          gather<kCount>(from + i * outputStep + (turned ? kSize - 1 - p : +p) * pixelStep, outputStep,
                         in[p]);
        });
        toPoints2d<A::kG>(in, out);
        unroll<kPoints>(
            [&](auto p) INLINE_LAMBDA { store<kCount>(out[p], u + (p * t.x.channels + row) * outputs + i); });
      });
    }
  });
}

/// dg = Gᵀ dU G of the filters [begin, end), dU[part][point][filter][input channel] summed over the parts.
template <int kFloats>
INLINE void transformFilterGradient(const Tiling& t, const float* du, int64_t parts, int64_t begin,
                                    int64_t end, float* dw) {
  withAlgorithm(t, [&](auto algorithm) INLINE_LAMBDA {
    using A = decltype(algorithm);
    constexpr int kPoints = A::kT * A::kT, kSize = A::kR * A::kR;
    for (int64_t row = begin; row < end; ++row)
      forChannels<kFloats>(t.groupC(), [&](int64_t i, auto floats) INLINE_LAMBDA {
        constexpr int kCount = floats;
        using Value = typename Vector<kCount>::Value;
        Value in[kPoints], out[kSize], other;
        unroll<kPoints>([&](auto p) INLINE_LAMBDA {
          const float* const from = du + (p * t.y.channels + row) * t.groupC() + i;
          load<kCount>(from, in[p]);
          for (int64_t part = 1; part < parts; ++part) {
            load<kCount>(from + part * t.filters(), other);
            in[p] += other;
          }
        });
        fromPoints2d<A::kG>(in, out);
        unroll<kSize>([&](auto p)
                          INLINE_LAMBDA { store<kCount>(out[p], dw + (row * kSize + p) * t.groupC() + i); });
      });
  });
}

/// Transformed tiles of so many stay near enough to a core, and are enough rows for its products.
constexpr int64_t kChunkTiles = 64;
/// The sums dU of all threads take no more elements.
constexpr int64_t kMaxSums = (int64_t{256} << 20) / sizeof(float);

/// Contiguous tiles for each of at most `maxParts` threads, worked on in chunks. In one part the products are
/// parallel.
class Chunks {
 public:
  Chunks(Context& context, const Tiling& t, int64_t maxParts)
      : tiles_(t.tiles()),
        parts_(std::max<int64_t>(1, std::min({int64_t{context.threads}, maxParts, tiles_ / 8}))),
        chunkTiles_(evenly((tiles_ + parts_ - 1) / parts_)),
        v_{nullptr, t.x.channels, Chunk::stepOf(chunkTiles_, t.x.channels)},
        m_{nullptr, t.y.channels, Chunk::stepOf(chunkTiles_, t.y.channels)},
        points_(t.points()),
        edge_(std::max(v_.channels, m_.channels)),
        stride_(points_ * (v_.step + m_.step) + 2 * edge_),
        data_(context.workspace<float>(kTiles, parts_ * stride_)) {}

  int64_t parts() const { return parts_; }

  struct Work {
    int64_t part;
    bool isFirst;        // of the part
    int64_t begin, end;  // tiles
    Chunk v, m;
    float *zeros, *nowhere;  // a pixel each
  };

  template <class Body>
  void forEach(Body body) const {
    parallelFor(parts_, parts_, 1, [&](int64_t firstPart, int64_t endPart) {
      for (int64_t part = firstPart; part < endPart; ++part) {
        float* const v = data_ + part * stride_;
        float* const m = v + points_ * v_.step;
        float* const zeros = m + points_ * m_.step;
        std::fill(zeros, zeros + edge_, 0.0f);
        const int64_t first = tiles_ * part / parts_, last = tiles_ * (part + 1) / parts_;
        for (int64_t begin = first; begin < last; begin += chunkTiles_)
          body(Work{part,
                    begin == first,
                    begin,
                    std::min(last, begin + chunkTiles_),
                    {v, v_.channels, v_.step},
                    {m, m_.channels, m_.step},
                    zeros,
                    zeros + edge_});
      }
    });
  }

 private:
  static int64_t evenly(int64_t tiles) {
    const int64_t chunks = (tiles + kChunkTiles - 1) / kChunkTiles;
    return (tiles + chunks - 1) / chunks;
  }

  int64_t tiles_, parts_, chunkTiles_;
  Chunk v_, m_;  // As each part has them, without data.
  int64_t points_, edge_, stride_;
  float* data_;
};

/// Calls multiply(point, group) for each product of a chunk.
template <class Multiply>
void forProducts(const Tiling& t, Multiply multiply) {
  for (int64_t point = 0; point < t.points(); ++point)
    for (int64_t group = 0; group < t.groups; ++group) multiply(point, group);
}

/// Also the data gradient, from dy to dx.
void forward(Context& context, Conv2dPass pass, const Tiling& t, const float* x, const float* w,
             const float* bias, bool relu, float* y) {
  float* const u = context.workspace<float>(kFilters, t.filters());
  parallelFor(context.threads, t.x.channels, 1, [&](int64_t begin, int64_t end) {
    forIsa(context.isa,
           [&](auto floats) INLINE_LAMBDA { transformFilters<floats>(t, pass, w, begin, end, u); });
  });
  const int64_t c = t.groupC(), k = t.groupK();
  Chunks(context, t, context.threads).forEach([&](const Chunks::Work& work) {
    const Chunk &v = work.v, &m = work.m;
    forIsa(context.isa, [&](auto floats) INLINE_LAMBDA {
      transformInput<floats>(t, x, work.zeros, work.begin, work.end, v);
    });
    forProducts(t, [&](int64_t point, int64_t group) {
      gemm(false, false, work.end - work.begin, k, c, v.data + point * v.step + group * c, v.channels,
           u + (point * t.groups + group) * c * k, k, 0, m.data + point * m.step + group * k, m.channels);
    });
    forIsa(context.isa, [&](auto floats) INLINE_LAMBDA {
      transformOutput<floats>(t, m, work.begin, work.end, bias, relu, work.nowhere, y);
    });
  });
}

/// Each part sums over its own tiles; the sums are added in the order of the parts.
void backwardFilter(Context& context, const Tiling& t, const float* x, const float* dy, float* dw) {
  const Chunks chunks(context, t, kMaxSums / t.filters());
  float* const du = context.workspace<float>(kFilters, chunks.parts() * t.filters());
  const int64_t c = t.groupC(), k = t.groupK();
  chunks.forEach([&](const Chunks::Work& work) {
    const Chunk &v = work.v, &m = work.m;
    float* const sums = du + work.part * t.filters();
    forIsa(context.isa, [&](auto floats) INLINE_LAMBDA {
      transformInput<floats>(t, x, work.zeros, work.begin, work.end, v);
    });
    forIsa(context.isa, [&](auto floats) INLINE_LAMBDA {
      transformGradient<floats>(t, dy, work.zeros, work.begin, work.end, m);
    });
    forProducts(t, [&](int64_t point, int64_t group) {
      gemm(true, false, k, c, work.end - work.begin, m.data + point * m.step + group * k, m.channels,
           v.data + point * v.step + group * c, v.channels, work.isFirst ? 0 : 1,
           sums + (point * t.groups + group) * k * c, c);
    });
  });
  parallelFor(context.threads, t.y.channels, 1, [&](int64_t begin, int64_t end) {
    forIsa(context.isa, [&](auto floats) INLINE_LAMBDA {
      transformFilterGradient<floats>(t, du, chunks.parts(), begin, end, dw);
    });
  });
}

void run(Context& context, Conv2dPass pass, const Conv2dShape& q, const float* a, const float* b,
         const float* bias, float* out) {
  const Tiling t(pass, q);
  if (pass == Conv2dPass::Filter)
    backwardFilter(context, t, a, b, out);
  else
    forward(context, pass, t, a, b, bias, q.relu, out);
}

bool supports(Conv2dPass, const Conv2dShape& q) {
  const bool dense = q.strideH == 1 && q.strideW == 1 && q.dilationH == 1 && q.dilationW == 1;
  return dense && q.r == q.s && (q.r == 3 || q.r == 5) && q.padH < q.r && q.padW < q.r;
}

}  // namespace

const Conv2dImplementation conv2dWinograd{"winograd", supports, run};

}  // namespace nodecudnn
