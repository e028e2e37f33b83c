#include "cpu/conv2d_table.h"

/// Measured with oneDNN 3.2, float32, on three kinds of processor with two cores: Z3 is AMD family 25 with
/// AVX2 only, Z4 AMD family 25 model 17 with AVX-512, Z5 AMD family 26; the AVX2 rows on Z4 and Z5 too, with
/// ONEDNN_MAX_CPU_ISA=AVX2. Each row says how many times as fast it is as oneDNN's first choice over NHWC,
/// which serves all that no row matches; on Z4 where no processor is named. Batches of 8 to 128. Nothing is
/// measured at run time, so that equal seeds give equal bits.
namespace nodecudnn {
namespace {

using Pass = Conv2dPass;
using Shape = Conv2dShape;

const Conv2dImplementation* const kImplementations[] = {&conv2dOneDnn, &conv2dOneDnnJit, &conv2dBlocked,
                                                        &conv2dIm2col, &conv2dWindows,   &conv2dWinograd};

bool isStrided(const Shape& q) { return q.strideH > 1 || q.strideW > 1; }
bool isDilated(const Shape& q) { return q.dilationH > 1 || q.dilationW > 1; }
bool isMultipleOf(int64_t grain, const Shape& q) {
  return q.groupC() % grain == 0 && q.groupK() % grain == 0;
}

/// Whether im2col's products are large enough to pay.
bool isWide(const Shape& q) { return q.groups == 1 || (q.groupC() >= 16 && q.groupK() >= 16); }

/// A fully connected layer in disguise: the filters are larger than the activations.
bool hasOnePixel(const Shape& q) { return q.oh == 1 && q.ow == 1 && isWide(q); }

/// oneDNN has no direct backward kernel for these.
bool lacksBackward(const Shape& q) {
  const bool farPadding = q.padH > (q.r - 1) * q.dilationH || q.padW > (q.s - 1) * q.dilationW;
  return isWide(q) && ((isStrided(q) && isDilated(q)) || farPadding);
}

/// Whether Winograd's products are large enough (32 channels 1.4–1.7×, 16 channels 0.9×), enough work comes
/// on each filter that is transformed (images of 13², 256 to 384 channels: 1 image 0.5×, 4 images 0.94–1.2×,
/// 8 images 1.2–1.5×), and its tiles of 4 × 4 or 3 × 3 output pixels are filled by half (images of 6² 1.0×,
/// 5² 0.7×).
template <Pass kPass>
bool suitsWinograd(const Shape& q) {
  if (!conv2dWinograd.supports(kPass, q) || q.groupC() < 32 || q.groupK() < 32) return false;
  const bool isData = kPass == Pass::Data;
  const int64_t size = q.r == 3 ? 4 : 3, h = isData ? q.h : q.oh, w = isData ? q.w : q.ow;
  const int64_t rows = (h + size - 1) / size * size, columns = (w + size - 1) / size * size;
  return q.n * h * w * q.r * q.s >= 6000 && 2 * h * w >= rows * columns;
}

/// Those of images, and enough output pixels for the sums that they are added to.
bool hasFewChannels(const Shape& q) {
  return q.c <= 8 && q.oh * q.ow >= 16 && q.dilationH == 1 && conv2dWindows.supports(Pass::Filter, q);
}

struct Row {
  Pass pass;
  bool (*matches)(const Shape&);
  const Conv2dImplementation& implementation;
};

/// The first row that matches counts; the rows of all instruction sets come before one's own.
const Row kAll[] = {
    // Data 1.1–1.25×, filter 1.6–2.8×.
    {Pass::Data, lacksBackward, conv2dIm2col},
    {Pass::Filter, lacksBackward, conv2dIm2col},
};

const Row kAvx512[] = {
    {Pass::Forward, suitsWinograd<Pass::Forward>, conv2dWinograd},
    {Pass::Data, suitsWinograd<Pass::Data>, conv2dWinograd},
    {Pass::Filter, suitsWinograd<Pass::Filter>, conv2dWinograd},
    // AlexNet's conv1 4.5×, 3 channels of 224² pixels 2.7–3.6×, 8 channels 1.2×.
    {Pass::Data, [](const Shape& q) { return q.groups == 1 && q.c <= 8; }, conv2dIm2col},
    // Z5: AlexNet's conv1 1.22× (batch 1 0.98×, 8 1.36×), torchvision's 1.11×, 3 channels to 64 filters, 7×7
    // of 224² pixels 1.37×, 3×3 1.08×, 5×5 of 32² 1.34×, 1 channel 1.7×, 4 channels 1.03×, 8 1.18×.
    {Pass::Filter, hasFewChannels, conv2dWindows},
    // AlexNet's conv2: Z5 1.06×, Z4 0.98×.
    {Pass::Filter, [](const Shape& q) { return q.r * q.s >= 25 && isMultipleOf(16, q); }, conv2dBlocked},
    // 4 groups of 8 channels 1.46×, 16 groups of 16 1.13×.
    {Pass::Filter,
     [](const Shape& q) { return q.groups > 1 && q.groupC() <= 16 && isMultipleOf(8, q) && !isDilated(q); },
     conv2dBlocked},
};

const Row kAvx2[] = {
    {Pass::Forward, suitsWinograd<Pass::Forward>, conv2dWinograd},
    {Pass::Data, suitsWinograd<Pass::Data>, conv2dWinograd},
    {Pass::Filter, suitsWinograd<Pass::Filter>, conv2dWinograd},
    // 4096 filters of 6×6×256, batch 16 to 128: forward 7–13×, data 6×, filter 13×. (With AVX-512 0.7, 1.0
    // and 1.0×.)
    {Pass::Forward, hasOnePixel, conv2dIm2col},
    {Pass::Data, hasOnePixel, conv2dIm2col},
    {Pass::Filter, hasOnePixel, conv2dIm2col},
    // Groups of 4 channels 1.3–2×.
    {Pass::Forward, [](const Shape& q) { return q.groups > 1 && q.groupC() > 1 && q.groupC() < 8; },
     conv2dIm2col},
    // AlexNet's conv2: Z3 and Z5 1.07×, Z4 1.06×. 16 groups of 16 channels 1.29×.
    {Pass::Forward,
     [](const Shape& q) {
       return q.groups > 1 && q.groupC() >= 8 && (q.r * q.s >= 25 || q.groupC() <= 16) && !isDilated(q);
     },
     conv2dOneDnnJit},
    // 11×11 of 3 channels, stride 4, padding 2: 1.8×. Without padding (AlexNet's conv1) oneDNN is faster.
    {Pass::Forward, [](const Shape& q) { return q.groups == 1 && q.c <= 4 && q.padW > 0 && q.s > 7; },
     conv2dIm2col},
    // Few channels 1.2–2.5×, strides 1.1–2.4×.
    {Pass::Data, [](const Shape& q) { return q.groups == 1 && (q.c <= 6 || isStrided(q)); }, conv2dIm2col},
    // AlexNet's conv3: Z3 and Z5 1.08×, Z4 1.04×.
    {Pass::Data, [](const Shape& q) { return q.groups == 1 && q.k >= 384 && q.k < 512 && q.r * q.s == 9; },
     conv2dOneDnnJit},
    // 16 groups of 16 channels 1.25×, 3 of 10 1.39×.
    {Pass::Data, [](const Shape& q) { return q.groups > 1 && q.groupC() > 1 && q.groupC() <= 16; },
     conv2dOneDnnJit},
    // 8 groups of 32 channels 1.36×.
    {Pass::Filter,
     [](const Shape& q) {
       const bool fits = q.groups > 1 && q.groupC() >= 16 && q.groupC() <= 32 && isMultipleOf(8, q);
       return fits && q.r * q.s > 1 && !isDilated(q);
     },
     conv2dBlocked},
    // Z5: AlexNet's conv1 1.19× (im2col 1.07×), torchvision's 1.32×, 7×7 of 224² pixels 1.52×, 3×3 3.3×.
    {Pass::Filter, hasFewChannels, conv2dWindows},
    // AlexNet's conv2 to conv5: Z5 1.15, 1.11, 1.19, 1.25×; Z4 0.99, 1.25, 1.11, 1.06×. Images of 224² pixels
    // 2.4–5×; dilated 1.5–2×.
    {Pass::Filter,
     [](const Shape& q) { return isWide(q) && (q.filter() >= 256 || q.w >= 100 || isDilated(q)); },
     conv2dIm2col},
};

template <size_t kCount>
const Conv2dImplementation* find(const Row (&rows)[kCount], Pass pass, const Shape& shape) {
  for (const Row& row : rows)
    if (row.pass == pass && row.matches(shape)) return &row.implementation;
  return nullptr;
}

const Conv2dImplementation& find(const std::string& name) {
  for (const Conv2dImplementation* implementation : kImplementations)
    if (name == implementation->name) return *implementation;
  throw Error(
      ErrorCode::Argument,
      concat("Expected onednn, jit, blocked, im2col, windows or winograd for NODE_CUDNN_CONV2D but received ",
             name));
}

}  // namespace

const Conv2dImplementation& chooseConv2d(Isa isa, Conv2dPass pass, const Conv2dShape& shape,
                                         const std::string& forced) {
  if (!forced.empty() && find(forced).supports(pass, shape)) return find(forced);
  const Conv2dImplementation* chosen = find(kAll, pass, shape);
  if (chosen == nullptr && isa == Isa::Avx512) chosen = find(kAvx512, pass, shape);
  if (chosen == nullptr && isa == Isa::Avx2) chosen = find(kAvx2, pass, shape);
  return chosen != nullptr ? *chosen : conv2dOneDnn;
}

std::vector<const Conv2dImplementation*> conv2dImplementations(Conv2dPass pass, const Conv2dShape& shape) {
  std::vector<const Conv2dImplementation*> found;
  for (const Conv2dImplementation* implementation : kImplementations)
    if (implementation->supports(pass, shape)) found.push_back(implementation);
  return found;
}

}  // namespace nodecudnn
