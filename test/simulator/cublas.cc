// What the backend calls of cuBLAS: products by columns.
#include <cublas_v2.h>

#include <algorithm>
#include <memory>
#include <set>

#include "simulator/devices.h"
#include "simulator/gemm.h"

struct cublasContext {
  int device;
  cudaStream_t stream;
  void* workspace;
  size_t workspaceBytes;
  cublasMath_t math;
};

namespace simulator {
namespace {

std::set<cublasHandle_t>& handles() {
  static auto* const all = std::make_unique<std::set<cublasHandle_t>>().release();
  return *all;
}

cublasStatus_t misuse(const std::string& what) {
  violation(what);
  return CUBLAS_STATUS_INVALID_VALUE;
}

template <class Call>
cublasStatus_t call(cublasHandle_t handle, const char* name, Call call) {
  const Lock lock(mutex());
  if (handles().count(handle) == 0) {
    violation(std::string(name) + ": no handle, or one that was destroyed");
    return CUBLAS_STATUS_NOT_INITIALIZED;
  }
  if (const auto fault = injected(name, handle->device)) return cublasStatus(*fault);
  if (handle->device != currentDevice())
    return misuse(std::string(name) + ": a handle of a device that is not the thread's");
  return call();
}

/// The bytes of a matrix by columns, of which the last is not padded.
size_t bytesOf(int64_t rows, int64_t columns, int64_t leading) {
  return static_cast<size_t>((columns - 1) * leading + rows) * sizeof(float);
}

}  // namespace
}  // namespace simulator

using namespace simulator;

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  const Lock lock(mutex());
  if (const auto fault = injected("cublasCreate")) return cublasStatus(*fault);
  *handle = std::make_unique<cublasContext>(
                cublasContext{currentDevice(), nullptr, nullptr, 0, CUBLAS_DEFAULT_MATH})
                .release();
  handles().insert(*handle);
  count("cuBLAS handle", 1);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  const Lock lock(mutex());
  if (handles().erase(handle) == 0) return misuse("cublasDestroy: no handle, or one that was destroyed");
  const std::unique_ptr<cublasContext> owned(handle);
  count("cuBLAS handle", -1);
  return isLost(owned->device) ? cublasStatus(Fault::DeviceLost) : CUBLAS_STATUS_SUCCESS;
}
/// The workspace is then one of cuBLAS's own.
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  return call(handle, "cublasSetStream", [&] {
    if (deviceOf(stream) != handle->device) return misuse("cublasSetStream: a stream of another device");
    handle->stream = stream;
    handle->workspace = nullptr;
    return CUBLAS_STATUS_SUCCESS;
  });
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, size_t bytes) {
  return call(handle, "cublasSetWorkspace", [&] {
    if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0)
      return misuse("cublasSetWorkspace: memory that is not aligned to 256 bytes");
    handle->workspace = workspace;
    handle->workspaceBytes = bytes;
    return CUBLAS_STATUS_SUCCESS;
  });
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t math) {
  return call(handle, "cublasSetMathMode", [&] {
    handle->math = math;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasSgemm_v2_64(cublasHandle_t handle, cublasOperation_t opA, cublasOperation_t opB,
                                 int64_t m, int64_t n, int64_t k, const float* alpha, const float* a,
                                 int64_t lda, const float* b, int64_t ldb, const float* beta, float* c,
                                 int64_t ldc) {
  return call(handle, "cublasSgemm", [&] {
    const bool transposeA = opA != CUBLAS_OP_N, transposeB = opB != CUBLAS_OP_N;
    if (m < 0 || n < 0 || k < 0) return misuse("cublasSgemm: a negative size");
    const auto checkLeading = [](const char* name, int64_t leading, int64_t rows) {
      if (leading >= std::max<int64_t>(1, rows)) return true;
      violation("leading dimension: cublasSgemm: " + std::string(name) + " is " + std::to_string(leading) +
                ", its matrix has " + std::to_string(rows) + " rows");
      return false;
    };
    const bool isRight = checkLeading("lda", lda, transposeA ? k : m) &&
                         checkLeading("ldb", ldb, transposeB ? n : k) && checkLeading("ldc", ldc, m);
    if (!isRight) return CUBLAS_STATUS_INVALID_VALUE;
    if (handle->math != CUBLAS_DEFAULT_MATH) return misuse("cublasSgemm: math that is not float32's");
    if (m == 0 || n == 0) return CUBLAS_STATUS_SUCCESS;
    std::vector<Range> ranges{{c, bytesOf(m, n, ldc), true}};
    if (k > 0) {
      ranges.push_back({a, transposeA ? bytesOf(k, m, lda) : bytesOf(m, k, lda), false});
      ranges.push_back({b, transposeB ? bytesOf(n, k, ldb) : bytesOf(k, n, ldb), false});
    }
    if (handle->workspace != nullptr) ranges.push_back({handle->workspace, handle->workspaceBytes, true});
    enqueue(handle->stream, "cublasSgemm", ranges, [=, alpha = *alpha, beta = *beta] {
      gemm(transposeA, transposeB, m, n, k, alpha, onHost(a), lda, onHost(b), ldb, beta, onHost(c), ldc);
    });
    return CUBLAS_STATUS_SUCCESS;
  });
}

const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    default:
      return "CUBLAS_STATUS_INVALID_VALUE";
  }
}
const char* cublasGetStatusString(cublasStatus_t) { return "told by the simulator"; }

}  // extern "C"
