// cuDNN's handle, and what the backend calls of it that is no graph. Descriptors are the real cuDNN's too,
// where that is here: what it refuses is refused.
#include <cudnn.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <set>

#include "simulator/devices.h"

struct cudnnContext {
  int device;
  cudaStream_t stream;
};
struct cudnnTensorStruct {
  cudnnTensorDescriptor_t real = nullptr;
  bool isSet = false;
  int n = 0, c = 0, h = 0, w = 0;
};
struct cudnnLRNStruct {
  cudnnLRNDescriptor_t real = nullptr;
  bool isSet = false;
  int size = 0;
  double alpha = 0, beta = 0, k = 0;
};
struct cudnnPoolingStruct {
  cudnnPoolingDescriptor_t real = nullptr;
  bool isSet = false;
  cudnnPoolingMode_t mode = CUDNN_POOLING_MAX;
  int kernelH = 0, kernelW = 0, padH = 0, padW = 0, strideH = 0, strideW = 0;
};

namespace simulator {
namespace {

std::set<const void*>& known() {
  static auto* const all = std::make_unique<std::set<const void*>>().release();
  return *all;
}
thread_local std::string lastRefusal;

cudnnStatus_t misuse(const std::string& what) {
  violation(what);
  return refuse(CUDNN_STATUS_BAD_PARAM, what);
}

template <class Call>
cudnnStatus_t call(const char* name, Call call) {
  const Lock lock(mutex());
  if (const auto fault = injected(name)) return refuse(cudnnStatus(*fault), "told by the simulator");
  return call();
}

/// Of the real library; success where that is not here.
template <class... Arguments>
cudnnStatus_t real(const char* name, Arguments... arguments) {
  auto* const function = reinterpret_cast<cudnnStatus_t (*)(Arguments...)>(realCudnn(name));
  return function != nullptr ? function(arguments...) : CUDNN_STATUS_SUCCESS;
}

template <class T>
cudnnStatus_t create(const char* name, T** descriptor) {
  return call(name, [&] {
    auto made = std::make_unique<T>();
    const cudnnStatus_t status = real(name, &made->real);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    known().insert(made.get());
    *descriptor = made.release();
    count("cuDNN descriptor", 1);
    return CUDNN_STATUS_SUCCESS;
  });
}
template <class T>
cudnnStatus_t destroy(const char* name, T* descriptor) {
  const Lock lock(mutex());
  if (known().erase(descriptor) == 0)
    return misuse(std::string(name) + ": no descriptor, or one that was destroyed");
  const std::unique_ptr<T> owned(descriptor);
  count("cuDNN descriptor", -1);
  return real(name, owned->real);
}

bool isLive(const char* name, const void* descriptor) {
  if (known().count(descriptor) > 0) return true;
  misuse(std::string(name) + ": no descriptor, or one that was destroyed");
  return false;
}

/// An execution: of a handle of the thread's device, with descriptors that are set.
template <class Call, class... Descriptors>
cudnnStatus_t execute(const char* name, cudnnHandle_t handle, Call run, const Descriptors*... descriptors) {
  const Lock lock(mutex());
  if (!isLive(name, handle)) return CUDNN_STATUS_BAD_PARAM;
  if (const auto fault = injected(name, handle->device))
    return refuse(cudnnStatus(*fault), "told by the simulator");
  if (handle->device != currentDevice())
    return misuse(std::string(name) + ": a handle of a device that is not the thread's");
  if (!(isLive(name, descriptors) && ...)) return CUDNN_STATUS_BAD_PARAM;
  if (!(descriptors->isSet && ...)) return misuse(std::string(name) + ": a descriptor that was not set");
  return run();
}

bool areEqual(const cudnnTensorStruct& a, const cudnnTensorStruct& b) {
  return a.n == b.n && a.c == b.c && a.h == b.h && a.w == b.w;
}
int64_t pixelsOf(const cudnnTensorStruct& t) { return int64_t{t.n} * t.h * t.w; }
size_t bytesOf(const cudnnTensorStruct& t) { return static_cast<size_t>(pixelsOf(t) * t.c) * sizeof(float); }
Range reads(const void* data, const cudnnTensorStruct& t) { return {data, bytesOf(t), false}; }
Range writes(void* data, const cudnnTensorStruct& t) { return {data, bytesOf(t), true}; }

/// y = alpha · value + beta · y. With beta 0 y is not read.
struct Blend {
  float alpha, beta;
  Blend(const void* alpha, const void* beta)
      : alpha(*static_cast<const float*>(alpha)), beta(*static_cast<const float*>(beta)) {}
  void operator()(float& y, double value) const {
    y = static_cast<float>(beta == 0 ? alpha * value : alpha * value + static_cast<double>(beta) * y);
  }
};

/// The channels that are seen from the c-th.
struct Window {
  int begin, end;
  Window(const cudnnLRNStruct& lrn, int c, int channels) {
    begin = std::max(c - (lrn.size - 1) / 2, 0);
    end = std::min(c - (lrn.size - 1) / 2 + lrn.size, channels);
  }
};
double baseOf(const cudnnLRNStruct& lrn, const float* x, int c, int channels) {
  const Window window(lrn, c, channels);
  double sum = 0;
  for (int i = window.begin; i < window.end; ++i) sum += static_cast<double>(x[i]) * x[i];
  return lrn.k + lrn.alpha / lrn.size * sum;
}

/// Where the window of an output begins and ends in an input of that size.
struct Span {
  int begin, end;
  Span(int out, int stride, int pad, int kernel, int size) {
    begin = std::max(out * stride - pad, 0);
    end = std::min(out * stride - pad + kernel, size);
  }
};

/// Where the first maximum of each output's window lies in x.
template <class Use>
void forEachMaximum(const cudnnPoolingStruct& p, const cudnnTensorStruct& xs, const cudnnTensorStruct& ys,
                    const float* x, Use use) {
  int64_t at = 0;
  for (int n = 0; n < ys.n; ++n)
    for (int oh = 0; oh < ys.h; ++oh)
      for (int ow = 0; ow < ys.w; ++ow)
        for (int c = 0; c < ys.c; ++c, ++at) {
          const Span rows(oh, p.strideH, p.padH, p.kernelH, xs.h);
          const Span columns(ow, p.strideW, p.padW, p.kernelW, xs.w);
          int64_t best = -1;
          for (int h = rows.begin; h < rows.end; ++h)
            for (int w = columns.begin; w < columns.end; ++w) {
              const int64_t from = ((int64_t{n} * xs.h + h) * xs.w + w) * xs.c + c;
              // NaN wins.
              if (best < 0 || x[from] > x[best] || (std::isnan(x[from]) && !std::isnan(x[best]))) best = from;
            }
          use(at, best);
        }
}

void outputOf(const cudnnPoolingStruct& p, const cudnnTensorStruct& x, int* n, int* c, int* h, int* w) {
  *n = x.n;
  *c = x.c;
  *h = (x.h + 2 * p.padH - p.kernelH) / p.strideH + 1;
  *w = (x.w + 2 * p.padW - p.kernelW) / p.strideW + 1;
}
bool fits(const cudnnPoolingStruct& p, const cudnnTensorStruct& x, const cudnnTensorStruct& y) {
  cudnnTensorStruct wanted;
  outputOf(p, x, &wanted.n, &wanted.c, &wanted.h, &wanted.w);
  return areEqual(wanted, y);
}

}  // namespace

cudnnStatus_t refuse(cudnnStatus_t status, const std::string& why) {
  lastRefusal = why;
  return status;
}

int deviceOf(cudnnHandle_t handle) {
  const Lock lock(mutex());
  return isLive("deviceOf", handle) ? handle->device : 0;
}
cudaStream_t streamOf(cudnnHandle_t handle) {
  const Lock lock(mutex());
  return isLive("streamOf", handle) ? handle->stream : nullptr;
}

}  // namespace simulator

using namespace simulator;

extern "C" {

size_t cudnnGetVersion() {
  auto* const version = reinterpret_cast<size_t (*)()>(realCudnn("cudnnGetVersion"));
  return version != nullptr ? version() : CUDNN_VERSION;
}
const char* cudnnGetErrorString(cudnnStatus_t status) {
  auto* const text = reinterpret_cast<const char* (*)(cudnnStatus_t)>(realCudnn("cudnnGetErrorString"));
  if (text != nullptr) return text(status);
  switch (status) {
    case CUDNN_STATUS_SUCCESS:
      return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_ALLOC_FAILED:
      return "CUDNN_STATUS_ALLOC_FAILED";
    case CUDNN_STATUS_EXECUTION_FAILED:
      return "CUDNN_STATUS_EXECUTION_FAILED";
    case CUDNN_STATUS_INTERNAL_ERROR:
      return "CUDNN_STATUS_INTERNAL_ERROR";
    case CUDNN_STATUS_NOT_SUPPORTED:
      return "CUDNN_STATUS_NOT_SUPPORTED";
    default:
      return "CUDNN_STATUS_BAD_PARAM";
  }
}
void cudnnGetLastErrorString(char* message, size_t bytes) {
  auto* const text = reinterpret_cast<void (*)(char*, size_t)>(realCudnn("cudnnGetLastErrorString"));
  if (lastRefusal.empty() && text != nullptr) return text(message, bytes);
  if (bytes == 0) return;
  message[lastRefusal.copy(message, bytes - 1)] = '\0';
  lastRefusal.clear();
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  return call("cudnnCreate", [&] {
    *handle = std::make_unique<cudnnContext>(cudnnContext{currentDevice(), nullptr}).release();
    known().insert(*handle);
    count("cuDNN handle", 1);
    return CUDNN_STATUS_SUCCESS;
  });
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  const Lock lock(mutex());
  if (known().erase(handle) == 0) return misuse("cudnnDestroy: no handle, or one that was destroyed");
  const std::unique_ptr<cudnnContext> owned(handle);
  count("cuDNN handle", -1);
  return isLost(owned->device) ? cudnnStatus(Fault::DeviceLost) : CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  return call("cudnnSetStream", [&] {
    if (!isLive("cudnnSetStream", handle)) return CUDNN_STATUS_BAD_PARAM;
    if (deviceOf(stream) != handle->device) return misuse("cudnnSetStream: a stream of another device");
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
  });
}
cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t* stream) {
  return call("cudnnGetStream", [&] {
    *stream = streamOf(handle);
    return CUDNN_STATUS_SUCCESS;
  });
}

// ---- Descriptors ----

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* descriptor) {
  return create("cudnnCreateTensorDescriptor", descriptor);
}
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t descriptor) {
  return destroy("cudnnDestroyTensorDescriptor", descriptor);
}
cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t descriptor, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w) {
  constexpr char kName[] = "cudnnSetTensor4dDescriptor";
  return call(kName, [&] {
    if (!isLive(kName, descriptor)) return CUDNN_STATUS_BAD_PARAM;
    if (format != CUDNN_TENSOR_NHWC || type != CUDNN_DATA_FLOAT)
      return misuse("layout: cudnnSetTensor4dDescriptor: not NHWC of float, as all activations are");
    if (n <= 0 || c <= 0 || h <= 0 || w <= 0)
      return refuse(CUDNN_STATUS_BAD_PARAM, "a dimension that is not positive");
    const cudnnStatus_t status = real(kName, descriptor->real, format, type, n, c, h, w);
    if (status == CUDNN_STATUS_SUCCESS) *descriptor = {descriptor->real, true, n, c, h, w};
    return status;
  });
}

cudnnStatus_t cudnnCreateLRNDescriptor(cudnnLRNDescriptor_t* descriptor) {
  return create("cudnnCreateLRNDescriptor", descriptor);
}
cudnnStatus_t cudnnDestroyLRNDescriptor(cudnnLRNDescriptor_t descriptor) {
  return destroy("cudnnDestroyLRNDescriptor", descriptor);
}
cudnnStatus_t cudnnSetLRNDescriptor(cudnnLRNDescriptor_t descriptor, unsigned size, double alpha, double beta,
                                    double k) {
  constexpr char kName[] = "cudnnSetLRNDescriptor";
  return call(kName, [&] {
    if (!isLive(kName, descriptor)) return CUDNN_STATUS_BAD_PARAM;
    if (size < CUDNN_LRN_MIN_N || size > CUDNN_LRN_MAX_N || k < CUDNN_LRN_MIN_K || beta < CUDNN_LRN_MIN_BETA)
      return refuse(CUDNN_STATUS_BAD_PARAM, "a size, k or beta outside of cuDNN's bounds");
    const cudnnStatus_t status = real(kName, descriptor->real, size, alpha, beta, k);
    if (status == CUDNN_STATUS_SUCCESS)
      *descriptor = {descriptor->real, true, static_cast<int>(size), alpha, beta, k};
    return status;
  });
}

cudnnStatus_t cudnnCreatePoolingDescriptor(cudnnPoolingDescriptor_t* descriptor) {
  return create("cudnnCreatePoolingDescriptor", descriptor);
}
cudnnStatus_t cudnnDestroyPoolingDescriptor(cudnnPoolingDescriptor_t descriptor) {
  return destroy("cudnnDestroyPoolingDescriptor", descriptor);
}
cudnnStatus_t cudnnSetPooling2dDescriptor(cudnnPoolingDescriptor_t descriptor, cudnnPoolingMode_t mode,
                                          cudnnNanPropagation_t nan, int kernelH, int kernelW, int padH,
                                          int padW, int strideH, int strideW) {
  constexpr char kName[] = "cudnnSetPooling2dDescriptor";
  return call(kName, [&] {
    if (!isLive(kName, descriptor)) return CUDNN_STATUS_BAD_PARAM;
    if (mode != CUDNN_POOLING_MAX_DETERMINISTIC || nan != CUDNN_PROPAGATE_NAN)
      return misuse("cudnnSetPooling2dDescriptor: not the deterministic maximum that propagates NaN");
    if (kernelH <= 0 || kernelW <= 0 || padH < 0 || padW < 0 || strideH <= 0 || strideW <= 0)
      return refuse(CUDNN_STATUS_BAD_PARAM, "a kernel, padding or stride outside of cuDNN's bounds");
    const cudnnStatus_t status =
        real(kName, descriptor->real, mode, nan, kernelH, kernelW, padH, padW, strideH, strideW);
    if (status == CUDNN_STATUS_SUCCESS)
      *descriptor = {descriptor->real, true, mode, kernelH, kernelW, padH, padW, strideH, strideW};
    return status;
  });
}
cudnnStatus_t cudnnGetPooling2dForwardOutputDim(const cudnnPoolingDescriptor_t pooling,
                                                const cudnnTensorDescriptor_t x, int* n, int* c, int* h,
                                                int* w) {
  constexpr char kName[] = "cudnnGetPooling2dForwardOutputDim";
  return call(kName, [&] {
    if (!isLive(kName, pooling) || !isLive(kName, x)) return CUDNN_STATUS_BAD_PARAM;
    if (!pooling->isSet || !x->isSet) return misuse(std::string(kName) + ": a descriptor that was not set");
    outputOf(*pooling, *x, n, c, h, w);
    return real(kName, static_cast<cudnnPoolingDescriptor_t>(pooling->real), x->real, n, c, h, w);
  });
}

// ---- Execution ----

cudnnStatus_t cudnnLRNCrossChannelForward(cudnnHandle_t handle, cudnnLRNDescriptor_t lrn, cudnnLRNMode_t mode,
                                          const void* alpha, const cudnnTensorDescriptor_t xs, const void* x,
                                          const void* beta, const cudnnTensorDescriptor_t ys, void* y) {
  constexpr char kName[] = "cudnnLRNCrossChannelForward";
  return execute(
      kName, handle,
      [&] {
        if (mode != CUDNN_LRN_CROSS_CHANNEL_DIM1 || !areEqual(*xs, *ys))
          return misuse(std::string(kName) + ": another mode, or tensors of different shapes");
        enqueue(handle->stream, kName, {reads(x, *xs), writes(y, *ys)},
                [lrn = *lrn, t = *xs, blend = Blend(alpha, beta), x, y] {
                  const auto* from = static_cast<const float*>(onHost(x));
                  auto* to = static_cast<float*>(onHost(y));
                  for (int64_t i = 0; i < pixelsOf(t); ++i, from += t.c, to += t.c)
                    for (int c = 0; c < t.c; ++c)
                      blend(to[c], from[c] * std::pow(baseOf(lrn, from, c, t.c), -lrn.beta));
                });
        return CUDNN_STATUS_SUCCESS;
      },
      lrn, xs, ys);
}

/// dx = dy · base^-beta − 2 · beta · alpha / size · x · Σ dy · y / base, over the windows that see x.
cudnnStatus_t cudnnLRNCrossChannelBackward(cudnnHandle_t handle, cudnnLRNDescriptor_t lrn,
                                           cudnnLRNMode_t mode, const void* alpha,
                                           const cudnnTensorDescriptor_t ys, const void* y,
                                           const cudnnTensorDescriptor_t dys, const void* dy,
                                           const cudnnTensorDescriptor_t xs, const void* x, const void* beta,
                                           const cudnnTensorDescriptor_t dxs, void* dx) {
  constexpr char kName[] = "cudnnLRNCrossChannelBackward";
  return execute(
      kName, handle,
      [&] {
        if (mode != CUDNN_LRN_CROSS_CHANNEL_DIM1 || !areEqual(*xs, *ys) || !areEqual(*xs, *dys) ||
            !areEqual(*xs, *dxs))
          return misuse(std::string(kName) + ": another mode, or tensors of different shapes");
        enqueue(handle->stream, kName, {reads(y, *ys), reads(dy, *dys), reads(x, *xs), writes(dx, *dxs)},
                [lrn = *lrn, t = *xs, blend = Blend(alpha, beta), y, dy, x, dx] {
                  std::vector<double> bases(static_cast<size_t>(t.c)), parts(bases.size());
                  for (int64_t at = 0; at < pixelsOf(t) * t.c; at += t.c) {
                    const auto* xAt = static_cast<const float*>(onHost(x)) + at;
                    const auto* yAt = static_cast<const float*>(onHost(y)) + at;
                    const auto* dyAt = static_cast<const float*>(onHost(dy)) + at;
                    auto* dxAt = static_cast<float*>(onHost(dx)) + at;
                    std::fill(parts.begin(), parts.end(), 0);
                    for (int c = 0; c < t.c; ++c) {
                      const double base = bases[static_cast<size_t>(c)] = baseOf(lrn, xAt, c, t.c);
                      const Window window(lrn, c, t.c);
                      for (int i = window.begin; i < window.end; ++i)
                        parts[static_cast<size_t>(i)] += static_cast<double>(dyAt[c]) * yAt[c] / base;
                    }
                    for (int c = 0; c < t.c; ++c)
                      blend(dxAt[c],
                            dyAt[c] * std::pow(bases[static_cast<size_t>(c)], -lrn.beta) -
                                2 * lrn.beta * lrn.alpha / lrn.size * xAt[c] * parts[static_cast<size_t>(c)]);
                  }
                });
        return CUDNN_STATUS_SUCCESS;
      },
      lrn, ys, dys, xs, dxs);
}

cudnnStatus_t cudnnPoolingForward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t pooling,
                                  const void* alpha, const cudnnTensorDescriptor_t xs, const void* x,
                                  const void* beta, const cudnnTensorDescriptor_t ys, void* y) {
  constexpr char kName[] = "cudnnPoolingForward";
  return execute(
      kName, handle,
      [&] {
        if (!fits(*pooling, *xs, *ys)) return misuse(std::string(kName) + ": an output of another shape");
        enqueue(handle->stream, kName, {reads(x, *xs), writes(y, *ys)},
                [p = *pooling, xs = *xs, ys = *ys, blend = Blend(alpha, beta), x, y] {
                  const auto* from = static_cast<const float*>(onHost(x));
                  auto* to = static_cast<float*>(onHost(y));
                  forEachMaximum(p, xs, ys, from, [&](int64_t out, int64_t best) {
                    blend(to[out], best < 0 ? -std::numeric_limits<float>::infinity() : from[best]);
                  });
                });
        return CUDNN_STATUS_SUCCESS;
      },
      pooling, xs, ys);
}

cudnnStatus_t cudnnPoolingBackward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t pooling,
                                   const void* alpha, const cudnnTensorDescriptor_t ys, const void* y,
                                   const cudnnTensorDescriptor_t dys, const void* dy,
                                   const cudnnTensorDescriptor_t xs, const void* x, const void* beta,
                                   const cudnnTensorDescriptor_t dxs, void* dx) {
  constexpr char kName[] = "cudnnPoolingBackward";
  return execute(
      kName, handle,
      [&] {
        if (!fits(*pooling, *xs, *ys) || !areEqual(*ys, *dys) || !areEqual(*xs, *dxs))
          return misuse(std::string(kName) + ": tensors of other shapes");
        enqueue(handle->stream, kName, {reads(y, *ys), reads(dy, *dys), reads(x, *xs), writes(dx, *dxs)},
                [p = *pooling, xs = *xs, ys = *ys, blend = Blend(alpha, beta), y, dy, x, dx] {
                  const auto* from = static_cast<const float*>(onHost(x));
                  const auto* largest = static_cast<const float*>(onHost(y));
                  const auto* gradient = static_cast<const float*>(onHost(dy));
                  auto* to = static_cast<float*>(onHost(dx));
                  std::vector<double> sums(static_cast<size_t>(pixelsOf(xs) * xs.c));
                  forEachMaximum(p, xs, ys, from, [&](int64_t out, int64_t best) {
                    // cuDNN looks for what the forward found.
                    if (best >= 0 && (from[best] == largest[out] || std::isnan(from[best])))
                      sums[static_cast<size_t>(best)] += gradient[out];
                  });
                  for (size_t i = 0; i < sums.size(); ++i) blend(to[i], sums[i]);
                });
        return CUDNN_STATUS_SUCCESS;
      },
      pooling, ys, dys, xs, dxs);
}

}  // extern "C"
