#include <algorithm>
#include <cstring>
#include <vector>

#include "core/arguments.h"
#include "cpu/kernel.h"

namespace nodecudnn {
namespace {

constexpr int64_t kChannels = 3;

struct Crop {
  int64_t height, width, cropHeight, cropWidth, outHeight, outWidth;
  const uint8_t* images;
  const int32_t* crops;
  const float *mean, *scale, *shift;
  bool meanIsImage;
  float* y;
};

/// Pixels between the ends move with the element before them, whose place the next pixel then takes.
template <class T>
INLINE void mirror(int64_t width, const T* from, T* to) {
  T* last = to + (width - 1) * kChannels;
  for (int64_t c = 0; c < kChannels; ++c) last[c] = from[c];
  for (int64_t i = 1; i < width - 1; ++i)
    std::memcpy(last - i * kChannels - 1, from + i * kChannels - 1, 4 * sizeof(T));
  for (int64_t c = 0; c < kChannels; ++c) to[c] = from[(width - 1) * kChannels + c];
}

/// Rows [begin, end) of the output, counted over all images. The other pointers are memory for a row of the
/// crop each: mirrored pixels, and what is added to and multiplied with each element.
SIMD_CLONES void cropRows(const Crop& crop, int64_t begin, int64_t end, uint8_t* __restrict pixelRow,
                          float* __restrict addend, float* __restrict factor) {
  const int64_t count = crop.cropWidth * kChannels, outCount = crop.outWidth * kChannels;
  for (int64_t i = 0; i < count; ++i) factor[i] = crop.scale[i % kChannels];
  for (int64_t row = begin; row < end; ++row) {
    const int64_t image = row / crop.outHeight, line = row % crop.outHeight;
    float* y = crop.y + row * outCount;
    std::fill(y + (line < crop.cropHeight ? count : 0), y + outCount, 0.0f);
    if (line >= crop.cropHeight) continue;
    const int32_t* at = crop.crops + image * kChannels;
    const bool flip = at[2] != 0;
    if (row == begin || line == 0)
      for (int64_t i = 0; i < count; ++i) {
        const int64_t c = i % kChannels;
        addend[i] = (crop.shift != nullptr ? crop.shift[image * kChannels + c] : 0) -
                    (crop.meanIsImage ? 0 : crop.mean[c]);
      }
    const int64_t from = ((at[0] + line) * crop.width + at[1]) * kChannels;
    const uint8_t* pixels = crop.images + image * crop.height * crop.width * kChannels + from;
    if (flip) {
      mirror(crop.cropWidth, pixels, pixelRow);
      pixels = pixelRow;
    }
    if (crop.meanIsImage) {
      const float* mean = crop.mean + line * count;
      for (int64_t i = 0; i < count; ++i) y[i] = (pixels[i] - mean[i] + addend[i]) * factor[i];
    } else {
      for (int64_t i = 0; i < count; ++i) y[i] = (pixels[i] + addend[i]) * factor[i];
    }
  }
}

}  // namespace

void prepareImages(Context& context, const PrepareImagesParams& params, const Tensor& images,
                   const Tensor& crops, const Tensor& mean, const Tensor& scale, const Tensor* shift,
                   Tensor& y) {
  const bool meanIsImage = isMeanImage(params, images, crops, mean, scale, shift, y);
  const int64_t count = images.shape[0], height = images.shape[1], width = images.shape[2];

  const Crop crop{height,
                  width,
                  params.cropH,
                  params.cropW,
                  y.shape[1],
                  y.shape[2],
                  images.u8(),
                  crops.i32(),
                  mean.f32(),
                  scale.f32(),
                  shift != nullptr ? shift->f32() : nullptr,
                  meanIsImage,
                  y.f32()};
  for (int64_t n = 0; n < count; ++n) {
    const int64_t top = crop.crops[3 * n], left = crop.crops[3 * n + 1];
    CHECK(top >= 0 && left >= 0 && top + crop.cropHeight <= height && left + crop.cropWidth <= width,
          "Expected a crop within ", height, " x ", width, " pixels for crops[", n, "] but received ",
          crop.cropHeight, " x ", crop.cropWidth, " pixels at (", top, ", ", left, ")");
  }
  parallelFor(context.threads, count * crop.outHeight, 16, [&](int64_t begin, int64_t end) {
    const int64_t rowCount = crop.cropWidth * kChannels;
    std::vector<uint8_t> pixelRow(rowCount);
    std::vector<float> rows(2 * rowCount);
    cropRows(crop, begin, end, pixelRow.data(), rows.data(), rows.data() + rowCount);
  });
}

}  // namespace nodecudnn
