#include "cpu/gemm.h"

#include <oneapi/dnnl/dnnl.h>

#include "core/error.h"
#include "cpu/parallel.h"

namespace nodecudnn {
namespace {

SIMD_CLONES void addRange(int64_t count, const float* x, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] += x[i];
}

}  // namespace

void gemm(bool transposeA, bool transposeB, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
          const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  const dnnl_status_t status =
      dnnl_sgemm(transposeA ? 'T' : 'N', transposeB ? 'T' : 'N', m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
  if (status != dnnl_success)
    throw Error(ErrorCode::Internal,
                concat("oneDNN's sgemm failed for ", m, " × ", n, " × ", k, ": ", "status ", status));
}

SIMD_CLONES void addBiasRelu(int64_t rows, int64_t columns, int64_t ld, const float* bias, bool relu,
                             float* y) {
  for (int64_t row = 0; row < rows; ++row, y += ld) {
    if (bias != nullptr)
      for (int64_t i = 0; i < columns; ++i) y[i] += bias[i];
    if (relu)
      for (int64_t i = 0; i < columns; ++i) y[i] = y[i] < 0 ? 0 : y[i];
  }
}

void addTo(Context& context, int64_t count, const float* x, float* y) {
  parallelFor(context.threads, count, 1024,
              [&](int64_t begin, int64_t end) { addRange(end - begin, x + begin, y + begin); });
}

}  // namespace nodecudnn
