#include "cpu/filter_blocks.h"

#include "cpu/parallel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace nodecudnn {
namespace {

constexpr int64_t kTile = 8;

#if defined(__x86_64__)
/// out[column * ldOut + row] = in[row * ldIn + column] of 8 × 8: pairs, then fours, then halves change
/// places.
__attribute__((target("avx2"))) void transposeTile(const float* in, int64_t ldIn, float* out, int64_t ldOut) {
  __m256 rows[kTile], pairs[kTile], fours[kTile];
  for (int i = 0; i < kTile; ++i) rows[i] = _mm256_loadu_ps(in + i * ldIn);
  for (int i = 0; i < kTile; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < kTile; i += 4)
    for (int half = 0; half < 2; ++half) {
      const __m256 upper = pairs[i + half], lower = pairs[i + 2 + half];
      fours[i + 2 * half] = _mm256_shuffle_ps(upper, lower, _MM_SHUFFLE(1, 0, 1, 0));
      fours[i + 2 * half + 1] = _mm256_shuffle_ps(upper, lower, _MM_SHUFFLE(3, 2, 3, 2));
    }
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(out + i * ldOut, _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20));
    _mm256_storeu_ps(out + (i + 4) * ldOut, _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31));
  }
}
#endif

/// Eight filters of `size`, their first weights `block` apart in `out`.
void packEight([[maybe_unused]] Isa isa, int64_t size, int64_t block, const float* in, float* out) {
  int64_t column = 0;
#if defined(__x86_64__)
  if (isa != Isa::Baseline)
    for (; column + kTile <= size; column += kTile)
      transposeTile(in + column, size, out + column * block, block);
#endif
  for (; column < size; ++column)
    for (int64_t row = 0; row < kTile; ++row) out[column * block + row] = in[row * size + column];
}

}  // namespace

std::optional<FilterBlocks> FilterBlocks::between(const dnnl::memory::desc& tensor,
                                                  const dnnl::memory::desc& wanted) {
  if (wanted.get_inner_nblks() != 1 || wanted.get_padded_dims() != tensor.get_dims()) return {};
  if (wanted.get_size() != tensor.get_size()) return {};
  const auto dims = tensor.get_dims(), from = tensor.get_strides(), to = wanted.get_strides();
  const size_t ofFilter = dims.size() == 5 ? 1 : 0;  // Before it the groups.
  const int64_t block = wanted.get_inner_blks()[0], size = from[ofFilter];
  if (wanted.get_inner_idxs()[0] != static_cast<int64_t>(ofFilter) || block % kTile != 0) return {};
  if (to[ofFilter] != size * block || (ofFilter == 1 && to[0] != from[0])) return {};
  for (size_t i = ofFilter + 1; i < dims.size(); ++i)
    if (dims[i] > 1 && to[i] != from[i] * block) return {};
  return FilterBlocks{(ofFilter == 1 ? dims[0] : 1) * dims[ofFilter], size, block};
}

void FilterBlocks::pack(const Context& context, const float* in, float* out) const {
  parallelFor(context.threads, filters / kTile, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * kTile; i < end * kTile; i += kTile)
      packEight(context.isa, size, block, in + i * size, out + i / block * block * size + i % block);
  });
}

}  // namespace nodecudnn
