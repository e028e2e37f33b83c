#include <omp.h>
#include <sys/mman.h>

#include <chrono>
#include <cstdlib>
#include <cstring>

#include "core/backend.h"
#include "cpu/context.h"

namespace nodecudnn {
namespace {

/// oneDNN's numbers have a bit for each part of an instruction set: those to come contain those of today.
Isa detectIsa() {
  const int effective = static_cast<int>(dnnl::get_effective_cpu_isa());
  const auto has = [effective](dnnl::cpu_isa isa) {
    return (effective & static_cast<int>(isa)) == static_cast<int>(isa);
  };
  return has(dnnl::cpu_isa::avx512_core) ? Isa::Avx512 : has(dnnl::cpu_isa::avx2) ? Isa::Avx2 : Isa::Baseline;
}

const char* nameOf(Isa isa) {
  return isa == Isa::Avx512 ? "AVX-512" : isa == Isa::Avx2 ? "AVX2" : "baseline";
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

Context::Context(Allocator& allocator, Choices& choices)
    : isa(detectIsa()),
      threads(omp_get_max_threads()),
      engine(dnnl::engine::kind::cpu, 0),
      stream(engine),
      choices(choices),
      forcedConv2d(environment("NODE_CUDNN_CONV2D")),
      allocator_(allocator) {}

void* Context::workspace(int slot, size_t bytes) {
  std::shared_ptr<Block>& block = workspaces_[slot];
  if (!block || block->bytes() < bytes) {
    block.reset();
    block = allocator_.allocate(bytes, Use::Workspace);
  }
  return block->data();
}

void ContextDeleter::operator()(Context* context) const { delete context; }

ContextPtr makeContext(int, Allocator& allocator, Choices& choices) {
  return ContextPtr(std::make_unique<Context>(allocator, choices).release());
}

int deviceCount() { return 16; }

std::string deviceName(int device) { return concat("cpu:", device); }

void* allocateDeviceMemory(int, size_t bytes) {
  const size_t alignment = bytes >= kBlockAlignment ? kBlockAlignment : 64;
  void* data = nullptr;
  if (posix_memalign(&data, alignment, bytes) != 0) return nullptr;
  if (bytes >= kBlockAlignment) madvise(data, bytes, MADV_HUGEPAGE);
  return data;
}

void freeDeviceMemory(int, void* data, size_t) { std::free(data); }

void upload(Context&, void* device, const void* host, size_t bytes) { std::memcpy(device, host, bytes); }
void download(Context&, void* host, const void* device, size_t bytes) { std::memcpy(host, device, bytes); }

void finish(Context&) {}

std::shared_ptr<const Point> markPoint(Context&) { return nullptr; }
void follow(Context&, const Point&) {}
void copyBetweenDevices(Context&, int, const std::shared_ptr<Block>&, const Tensor& source, Tensor& target) {
  std::memcpy(target.data, source.data, target.bytes());
}

void setOption(Context& context, const std::string& name, int64_t value) {
  if (name == "autotune") {
    context.autotune = value != 0;
    return;
  }
  CHECK(name == "threads", "Expected threads or autotune for option of a CPU device but received ", name);
  context.threads = static_cast<int>(value);
  omp_set_num_threads(context.threads);
}

size_t mark(Context& context) {
  context.marks.push_back(std::chrono::steady_clock::now().time_since_epoch().count());
  return context.marks.size() - 1;
}

size_t markCopies(Context& context) { return mark(context); }

std::vector<int64_t> takeMarks(Context& context) { return std::exchange(context.marks, {}); }

std::string takeImplementation(Context& context) {
  const char* name = std::exchange(context.implementation, nullptr);
  return name == nullptr ? "" : name;
}

void forgetPlans(Context& context) { context.plans.clear(); }

std::vector<std::pair<std::string, std::string>> describeBackend() {
  const dnnl_version_t* version = dnnl_version();
  return {{"onednn", concat(version->major, '.', version->minor, '.', version->patch)},
          {"instructionSet", nameOf(detectIsa())},
          {"threads", std::to_string(omp_get_max_threads())}};
}

}  // namespace nodecudnn
