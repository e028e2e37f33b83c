// cuDNN's backend API, as cudnn-frontend uses it for convolutions. Where the real cuDNN is, it gets every
// call but those of variant packs, for the device that is played in place of a handle: it validates, plans
// and says how much workspace is needed. Without it there are three engines of our own. Either way a graph's
// arithmetic is done here (execution.cc), by what was set of its descriptors.
#include <algorithm>
#include <cstring>
#include <mutex>

#include "core/error.h"
#include "simulator/descriptors.h"
#include "simulator/execution.h"
#include "simulator/simulator.h"

namespace {

using namespace simulator;
using nodecudnn::concat;

/// What a cudnnBackendDescriptor_t points to.
struct Descriptor {
  RecordPtr record;
  /// The real cuDNN's, where it has one.
  cudnnBackendDescriptor_t real = nullptr;
};

struct RealBackend {
  decltype(&cudnnBackendCreateDescriptor) create;
  decltype(&cudnnBackendDestroyDescriptor) destroy;
  decltype(&cudnnBackendSetAttribute) set;
  decltype(&cudnnBackendGetAttribute) get;
  decltype(&cudnnBackendFinalize) finalize;
};

/// Null where there is no real cuDNN.
const RealBackend* real() {
  static const RealBackend backend = {
      reinterpret_cast<decltype(RealBackend::create)>(realCudnn("cudnnBackendCreateDescriptor")),
      reinterpret_cast<decltype(RealBackend::destroy)>(realCudnn("cudnnBackendDestroyDescriptor")),
      reinterpret_cast<decltype(RealBackend::set)>(realCudnn("cudnnBackendSetAttribute")),
      reinterpret_cast<decltype(RealBackend::get)>(realCudnn("cudnnBackendGetAttribute")),
      reinterpret_cast<decltype(RealBackend::finalize)>(realCudnn("cudnnBackendFinalize"))};
  return backend.create != nullptr ? &backend : nullptr;
}

/// The real cuDNN refused: it keeps its reason itself.
struct RealRefusal {
  cudnnStatus_t status;
};
void passOn(cudnnStatus_t status) {
  if (status != CUDNN_STATUS_SUCCESS) throw RealRefusal{status};
}

[[noreturn]] void refuseWith(cudnnStatus_t status, const std::string& why) { throw Refusal{status, why}; }

template <class Body>
cudnnStatus_t guarded(const char* name, Body body) {
  if (const auto fault = injected(name)) return refuse(cudnnStatus(*fault), "told by the simulator");
  try {
    body();
    return CUDNN_STATUS_SUCCESS;
  } catch (const Refusal& refusal) {
    return refuse(refusal.status, refusal.why);
  } catch (const RealRefusal& refusal) {
    return refusal.status;
  }
}

/// The descriptors that exist. Any thread may use it.
class Descriptors {
 public:
  cudnnBackendDescriptor_t add(std::unique_ptr<Descriptor> descriptor) {
    std::lock_guard<std::mutex> lock(mutex_);
    Descriptor* key = descriptor.get();
    all_.emplace(key, std::move(descriptor));
    return key;
  }
  std::unique_ptr<Descriptor> remove(cudnnBackendDescriptor_t descriptor) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = all_.find(descriptor);
    if (found == all_.end()) return nullptr;
    std::unique_ptr<Descriptor> removed = std::move(found->second);
    all_.erase(found);
    return removed;
  }
  Descriptor* find(cudnnBackendDescriptor_t descriptor) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = all_.find(descriptor);
    return found == all_.end() ? nullptr : found->second.get();
  }

 private:
  std::mutex mutex_;
  std::map<cudnnBackendDescriptor_t, std::unique_ptr<Descriptor>> all_;
};

Descriptors& descriptors() {
  // Never destroyed: what is static elsewhere may hold descriptors longer.
  static auto* const all = std::make_unique<Descriptors>().release();
  return *all;
}

Descriptor& expectDescriptor(const char* call, cudnnBackendDescriptor_t descriptor) {
  Descriptor* found = descriptors().find(descriptor);
  if (found == nullptr) refuseMisuse(call, "a descriptor that does not exist");
  return *found;
}

Descriptor& expectFinal(const char* call, cudnnBackendDescriptor_t descriptor,
                        cudnnBackendDescriptorType_t type) {
  Descriptor& found = expectDescriptor(call, descriptor);
  if (found.record->type != type)
    refuseMisuse(call, concat("a descriptor of type ", found.record->type, " in place of ", type));
  if (!found.record->isFinal) refuseMisuse(call, concat("a descriptor of type ", type, " that is not final"));
  return found;
}

/// The real cuDNN's description of a device that is played.
cudnnBackendDescriptor_t realDevice(int device) {
  static std::mutex mutex;
  static std::map<int, cudnnBackendDescriptor_t> made;
  const std::string& json = played(device).json;
  std::lock_guard<std::mutex> lock(mutex);
  const auto known = made.find(device);
  if (known != made.end()) return known->second;
  cudnnBackendDescriptor_t descriptor = nullptr;
  passOn(real()->create(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &descriptor));
  passOn(real()->set(descriptor, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                     static_cast<int64_t>(json.size()), json.data()));
  passOn(real()->finalize(descriptor));
  made.emplace(device, descriptor);
  return descriptor;
}

std::vector<cudnnBackendDescriptor_t> given(const void* elements, int64_t count) {
  std::vector<cudnnBackendDescriptor_t> out(static_cast<size_t>(count));
  if (count > 0) std::memcpy(out.data(), elements, out.size() * sizeof out[0]);
  return out;
}

// ---- Setting ----

/// Whether the real engine of a configuration rounds factors to TF32: for float32 tensor cores do nothing
/// else.
bool usesTensorCores(cudnnBackendDescriptor_t config) {
  cudnnBackendDescriptor_t engine = nullptr;
  passOn(real()->create(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine));
  const std::unique_ptr<void, cudnnStatus_t (*)(void*)> owned(engine, real()->destroy);
  int64_t count = 0;
  passOn(real()->get(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &engine));
  std::array<cudnnBackendNumericalNote_t, CUDNN_NUMERICAL_NOTE_TYPE_COUNT> notes{};
  passOn(real()->get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                     CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes.data()));
  const auto end = notes.begin() + std::min<int64_t>(count, CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
  return std::find(notes.begin(), end, CUDNN_NUMERICAL_NOTE_TENSOR_CORE) != end;
}

void set(Descriptor& descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
         int64_t count, const void* elements) {
  constexpr const char* kCall = "cudnnBackendSetAttribute";
  Record& record = *descriptor.record;
  if (record.isFinal) refuseMisuse(kCall, concat("attribute ", name, " of a final descriptor"));
  checkAttribute(record.type, name, type, count);
  if (elements == nullptr && count > 0)
    refuseWith(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, concat("no elements for attribute ", name));
  Attribute attribute;
  std::vector<cudnnBackendDescriptor_t> reals;
  if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
    for (cudnnBackendDescriptor_t one : given(elements, count)) {
      Descriptor& other = expectDescriptor(kCall, one);
      if (!other.record->isFinal)
        refuseWith(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, concat("a descriptor for attribute ", name));
      attribute.records.push_back(other.record);
      reals.push_back(other.real);
      if (name == CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG && other.real != nullptr)
        record.tf32 = usesTensorCores(other.real);
    }
    elements = reals.data();
  } else {
    attribute = attributeOf(type, count, elements);
  }
  // What the played device takes the place of does not reach the real cuDNN.
  const bool isHandle = type == CUDNN_TYPE_HANDLE;
  if (descriptor.real != nullptr && !isHandle)
    passOn(real()->set(descriptor.real, name, type, count, elements));
  record.attributes[name] = std::move(attribute);
}

// ---- Finalizing ----

/// The device of the handle that was set.
std::optional<int> handleDevice(const Record& record, cudnnBackendAttributeName_t name) {
  const Attribute* handle = record.find(name);
  if (handle == nullptr) return std::nullopt;
  return deviceOf(static_cast<cudnnHandle_t>(handle->pointers.at(0)));
}

void setDevice(const Descriptor& descriptor, cudnnBackendAttributeName_t name, std::optional<int> device) {
  if (descriptor.real == nullptr || !device || descriptor.record->find(name) != nullptr) return;
  cudnnBackendDescriptor_t properties = realDevice(*device);
  passOn(real()->set(descriptor.real, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &properties));
}

/// Engines that differ as those of the real cuDNN do: by notes, workspace and settings.
std::vector<Offer> engines(const OperationGraph& graph) {
  int64_t elements = 0;
  for (const auto& [id, tensor] : graph.tensors) elements = std::max(elements, tensor.layout.count());
  const auto bytes = static_cast<int64_t>(sizeof(float)) * elements;
  return {{0, 1, {}, bytes + 512},
          {1, 32, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, 0},
          {2, 4, {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}, 2 * bytes + 256}};
}

const Offer& engineOf(const std::vector<Offer>& all, int64_t index) {
  if (index < 0 || index >= static_cast<int64_t>(all.size()))
    refuseWith(CUDNN_STATUS_BAD_PARAM, concat("engine ", index, " of ", all.size()));
  return all[static_cast<size_t>(index)];
}

void finalizePlan(const Descriptor& descriptor) {
  Record& record = *descriptor.record;
  const Record& config = record.record(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
  record.graph = config.graph;
  record.offer = config.offer;
  const auto device = handleDevice(record, CUDNN_ATTR_EXECUTION_PLAN_HANDLE);
  if (device && record.graph->device && device != record.graph->device)
    refuseMisuse("cudnnBackendFinalize", "a plan for another device than its graph's");
  setDevice(descriptor, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, device);
  if (descriptor.real != nullptr) {
    passOn(real()->finalize(descriptor.real));
    passOn(real()->get(descriptor.real, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                       nullptr, &record.workspaceBytes));
  } else {
    record.workspaceBytes = record.offer->workspaceBytes;
    const auto& notes = record.offer->notes;
    record.tf32 = std::find(notes.begin(), notes.end(), CUDNN_NUMERICAL_NOTE_TENSOR_CORE) != notes.end();
  }
}

void finalize(const Descriptor& descriptor) {
  Record& record = *descriptor.record;
  if (record.isFinal) refuseMisuse("cudnnBackendFinalize", "a descriptor that is final");
  checkComplete(record);
  const auto finalizeReal = [&] {
    if (descriptor.real != nullptr) passOn(real()->finalize(descriptor.real));
  };
  switch (record.type) {
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
      finalizeReal();
      record.graph = std::make_shared<OperationGraph>(
          interpret(record, handleDevice(record, CUDNN_ATTR_OPERATIONGRAPH_HANDLE)));
      break;
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
      record.graph = record.record(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH).graph;
      setDevice(descriptor, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, record.graph->device);
      finalizeReal();
      break;
    case CUDNN_BACKEND_ENGINE_DESCRIPTOR:
      record.graph = record.record(CUDNN_ATTR_ENGINE_OPERATION_GRAPH).graph;
      setDevice(descriptor, CUDNN_ATTR_ENGINE_DEVICEPROP, record.graph->device);
      finalizeReal();
      if (descriptor.real == nullptr)
        record.offer = std::make_shared<Offer>(
            engineOf(engines(*record.graph), record.integer(CUDNN_ATTR_ENGINE_GLOBAL_INDEX)));
      break;
    case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR:
      finalizeReal();
      record.graph = record.record(CUDNN_ATTR_ENGINECFG_ENGINE).graph;
      record.offer = record.record(CUDNN_ATTR_ENGINECFG_ENGINE).offer;
      break;
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
      finalizePlan(descriptor);
      break;
    default:
      finalizeReal();
  }
  record.isFinal = true;
}

// ---- Getting ----

/// A caller's room for an attribute's elements.
struct Room {
  int64_t size;
  int64_t* count;
  void* elements;

  template <class T>
  void put(const std::vector<T>& values) const {
    if (count != nullptr) *count = static_cast<int64_t>(values.size());
    const size_t taken = std::min(values.size(), static_cast<size_t>(std::max<int64_t>(size, 0)));
    if (elements != nullptr && taken > 0) std::memcpy(elements, values.data(), taken * sizeof(T));
  }
};

/// What descriptors the caller gives to be filled.
std::vector<Descriptor*> toFill(const Room& room) {
  std::vector<Descriptor*> out;
  if (room.elements == nullptr) return out;
  for (cudnnBackendDescriptor_t one : given(room.elements, room.size)) {
    // cudnn-frontend asks to fill what it could not create.
    if (one == nullptr) refuseWith(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "a null descriptor to fill");
    out.push_back(&expectDescriptor("cudnnBackendGetAttribute", one));
  }
  return out;
}

void fill(Record& record, const std::shared_ptr<const OperationGraph>& graph,
          const std::shared_ptr<const Offer>& offer) {
  record.graph = graph;
  record.offer = offer;
  record.isFinal = true;
}

void getReal(const Descriptor& descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
             const Room& room) {
  if (type != CUDNN_TYPE_BACKEND_DESCRIPTOR || room.elements == nullptr)
    return passOn(real()->get(descriptor.real, name, type, room.size, room.count, room.elements));
  const std::vector<Descriptor*> filled = toFill(room);
  std::vector<cudnnBackendDescriptor_t> reals;
  for (const Descriptor* one : filled) reals.push_back(one->real);
  int64_t count = 0;
  passOn(real()->get(descriptor.real, name, type, room.size, &count, reals.data()));
  if (room.count != nullptr) *room.count = count;
  for (size_t i = 0; i < std::min(filled.size(), static_cast<size_t>(count)); ++i)
    fill(*filled[i]->record, descriptor.record->graph, nullptr);
}

/// Without the real cuDNN.
void getOwn(const Record& record, cudnnBackendAttributeName_t name, const Room& room) {
  const auto fillAll = [&](const std::vector<Offer>& offers) {
    if (room.count != nullptr) *room.count = static_cast<int64_t>(offers.size());
    const std::vector<Descriptor*> filled = toFill(room);
    for (size_t i = 0; i < std::min(filled.size(), offers.size()); ++i)
      fill(*filled[i]->record, record.graph, std::make_shared<Offer>(offers[i]));
    return filled;
  };
  const Offer* offer = record.offer.get();
  switch (name) {
    case CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT:
      return room.put<int64_t>({static_cast<int64_t>(engines(*record.graph).size())});
    case CUDNN_ATTR_ENGINEHEUR_RESULTS: {
      const std::vector<Offer> all = engines(*record.graph);
      const bool isFallback = record.integer(CUDNN_ATTR_ENGINEHEUR_MODE) == CUDNN_HEUR_MODE_FALLBACK;
      fillAll(isFallback ? std::vector<Offer>{all[0]} : std::vector<Offer>{all[1], all[2], all[0]});
      return;
    }
    case CUDNN_ATTR_ENGINECFG_ENGINE:
      fillAll({*offer});
      return;
    case CUDNN_ATTR_ENGINECFG_KNOB_CHOICES:
      for (const Descriptor* choice : fillAll({*offer})) {
        choice->record->attributes[CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE].integers = {CUDNN_KNOB_TYPE_TILE_SIZE};
        choice->record->attributes[CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE].integers = {offer->knob};
      }
      return;
    case CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE:
      return room.put<int64_t>({offer->workspaceBytes});
    case CUDNN_ATTR_ENGINECFG_SHARED_MEMORY_USED:
      refuseWith(CUDNN_STATUS_NOT_SUPPORTED, "shared memory is not known");
    case CUDNN_ATTR_ENGINE_GLOBAL_INDEX:
      return room.put<int64_t>({offer->engine});
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
      return room.put(offer->notes);
    case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE:
      return room.put<cudnnBackendBehaviorNote_t>({});
    case CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE:
      return room.put<cudnnBackendKnobType_t>({static_cast<cudnnBackendKnobType_t>(record.integer(name))});
    case CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE:
      return room.put<int64_t>({record.integer(name)});
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
      return room.put<int64_t>({record.workspaceBytes});
    default:
      refuseUnknown(concat("how to get attribute ", name));
  }
}

void get(const Descriptor& descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
         const Room& room) {
  if (!descriptor.record->isFinal)
    refuseWith(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, concat("attribute ", name, " of a descriptor"));
  if (descriptor.real != nullptr)
    getReal(descriptor, name, type, room);
  else
    getOwn(*descriptor.record, name, room);
}

}  // namespace

extern "C" {

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* out) {
  return guarded("cudnnBackendCreateDescriptor", [&] {
    auto made = std::make_unique<Descriptor>();
    made->record = std::make_shared<Record>();
    made->record->type = type;
    if (real() != nullptr && type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
      passOn(real()->create(type, &made->real));
    *out = descriptors().add(std::move(made));
    count("cuDNN's backend descriptor", 1);
  });
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  // cudnn-frontend destroys what it could not create.
  if (descriptor == nullptr) return CUDNN_STATUS_BAD_PARAM;
  const std::unique_ptr<Descriptor> removed = descriptors().remove(descriptor);
  if (!removed) {
    violation("cudnnBackendDestroyDescriptor: a descriptor that does not exist");
    return CUDNN_STATUS_BAD_PARAM;
  }
  count("cuDNN's backend descriptor", -1);
  return removed->real != nullptr ? real()->destroy(removed->real) : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void* elements) {
  constexpr const char* kCall = "cudnnBackendSetAttribute";
  return guarded(kCall, [&] { set(expectDescriptor(kCall, descriptor), name, type, count, elements); });
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t size, int64_t* count,
                                       void* elements) {
  constexpr const char* kCall = "cudnnBackendGetAttribute";
  return guarded(kCall,
                 [&] { get(expectDescriptor(kCall, descriptor), name, type, {size, count, elements}); });
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  constexpr const char* kCall = "cudnnBackendFinalize";
  return guarded(kCall, [&] { finalize(expectDescriptor(kCall, descriptor)); });
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t pack) {
  constexpr const char* kCall = "cudnnBackendExecute";
  return guarded(kCall, [&] {
    execute(handle, *expectFinal(kCall, plan, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR).record,
            *expectFinal(kCall, pack, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR).record);
  });
}

/// cudnn-frontend links with it and calls it for shapes that change, which production has none of.
cudnnStatus_t cudnnGetExecutionPlanWorkspaceSize(cudnnHandle_t, cudnnBackendDescriptor_t,
                                                 cudnnBackendDescriptor_t, size_t*) {
  return guarded("cudnnGetExecutionPlanWorkspaceSize", [] {
    refuseMisuse("cudnnGetExecutionPlanWorkspaceSize", "the simulator knows no shapes that change");
  });
}

}  // extern "C"
