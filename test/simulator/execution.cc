#include "simulator/execution.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "simulator/simulator.h"

namespace simulator {
namespace {

using nodecudnn::concat;

constexpr const char* kExecute = "cudnnBackendExecute";

/// The pack's pointers, of all tensors of the graph that are in memory and of no others.
std::map<int64_t, float*> pointersOf(const OperationGraph& graph, const Record& pack) {
  const auto& ids = pack.integers(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto& pointers = pack.find(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS)->pointers;
  if (ids.size() != pointers.size())
    refuseMisuse(kExecute, concat(ids.size(), " ids with ", pointers.size(), " pointers"));
  std::map<int64_t, float*> out;
  const std::set<int64_t> wanted = graph.external();
  for (size_t i = 0; i < ids.size(); ++i) {
    if (wanted.count(ids[i]) == 0)
      refuseMisuse(kExecute, concat("tensor ", ids[i], ", which the graph lacks"));
    if (!out.emplace(ids[i], static_cast<float*>(pointers[i])).second)
      refuseMisuse(kExecute, concat("tensor ", ids[i], " twice"));
    const auto alignment = static_cast<uintptr_t>(graph.tensors.at(ids[i]).alignment);
    if (pointers[i] == nullptr || reinterpret_cast<uintptr_t>(pointers[i]) % alignment != 0)
      refuseMisuse(kExecute, concat("tensor ", ids[i], " at ", pointers[i],
                                    ", which is null or no multiple of ", alignment));
  }
  if (out.size() != wanted.size()) refuseMisuse(kExecute, concat(out.size(), " tensors of ", wanted.size()));
  return out;
}

bool overlap(const Range& a, const Range& b) {
  const auto* first = static_cast<const char*>(a.data);
  const auto* second = static_cast<const char*>(b.data);
  return first < second + b.bytes && second < first + a.bytes;
}

std::vector<Range> rangesOf(const OperationGraph& graph, const std::map<int64_t, float*>& pointers,
                            const Range& workspace) {
  const std::set<int64_t> written = graph.written(), read = graph.read();
  std::vector<Range> ranges;
  for (const auto& [id, pointer] : pointers)
    ranges.push_back({pointer, static_cast<size_t>(graph.tensors.at(id).layout.extent()) * sizeof(float),
                      written.count(id) != 0});
  if (workspace.bytes > 0) ranges.push_back(workspace);
  for (size_t i = 0; i < ranges.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if ((ranges[i].written || ranges[j].written) && overlap(ranges[i], ranges[j]))
        refuseMisuse(kExecute, concat("what is written, at ", ranges[i].data, ", overlaps what is at ",
                                      ranges[j].data));
  for (int64_t id : written)
    if (read.count(id) != 0)
      ranges.push_back({pointers.at(id),
                        static_cast<size_t>(graph.tensors.at(id).layout.extent()) * sizeof(float), false});
  return ranges;
}

/// Whoever counts on what is in a workspace finds NaN, at both ends of it.
void spoil(const Range& workspace) {
  const size_t bytes = std::min<size_t>(workspace.bytes, 1 << 16);
  char* begin = onHost(static_cast<char*>(const_cast<void*>(workspace.data)));
  std::memset(begin, 0xff, bytes);
  std::memset(begin + workspace.bytes - bytes, 0xff, bytes);
}

}  // namespace

void execute(cudnnHandle_t handle, const Record& plan, const Record& pack) {
  const OperationGraph& graph = *plan.graph;
  const int device = deviceOf(handle);
  if (!graph.device) refuseMisuse(kExecute, "a plan for a device that is not here");
  if (device != *graph.device)
    refuseMisuse(kExecute, concat("device ", *graph.device, "'s plan by device ", device, "'s handle"));
  if (currentDevice() != device)
    refuseMisuse(kExecute,
                 concat("device ", device, "'s handle while device ", currentDevice(), " is current"));
  const std::map<int64_t, float*> pointers = pointersOf(graph, pack);
  const Range workspace{pack.find(CUDNN_ATTR_VARIANT_PACK_WORKSPACE)->pointers.at(0),
                        static_cast<size_t>(plan.workspaceBytes), true};
  if (workspace.data == nullptr && workspace.bytes > 0)
    refuseMisuse(kExecute, concat("no workspace for a plan that needs ", workspace.bytes, " bytes"));
  const auto work = [graph = plan.graph, tf32 = plan.tf32, pointers, workspace] {
    if (workspace.bytes > 0) spoil(workspace);
    std::map<int64_t, float*> memory;
    for (const auto& [id, pointer] : pointers) memory.emplace(id, onHost(pointer));
    compute(*graph, tf32, memory);
  };
  enqueue(streamOf(handle), kExecute, rangesOf(graph, pointers, workspace), work);
}

}  // namespace simulator
