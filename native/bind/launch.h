#pragma once
#include <napi.h>

#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "bind/handle.h"
#include "core/ops.h"

/// Turns a function of ops.h into a JavaScript function that enqueues it: each of its parameters says by its
/// type what JavaScript passes and how the stream must treat it.
///
///   const Tensor&  a handle that is read          const Tensor*  the same, or null
///   Tensor&        a handle that is written       Tensor*        the same, or null
///   const Saved&   a saved state that is read     Saved*         a saved state that is written, or null
///   const P&       an object with P::fields()
namespace nodecudnn {

/// What one call enqueues, collected from its arguments.
struct Launch {
  Launch(Napi::Env env, const char* op) : env(env), operation{op, {}, {}, {}} {}

  Tensor use(Handle& handle, bool written) {
    const int index = handle.device;
    if (device < 0) device = index;
    if (device != index)
      throw Environment::of(env).error(env, ErrorCode::Argument,
                                       concat("Expected tensors of one device for ", operation.name,
                                              " but received devices ", device, " and ", index));
    (written ? operation.writes : operation.reads).push_back(handle.fate);
    return handle.view();
  }

  Napi::Env env;
  Stream::Operation operation;
  int device = -1;
};

inline void setField(bool& field, const Napi::Value& value) { field = value.ToBoolean(); }
inline void setField(int64_t& field, const Napi::Value& value) { field = value.ToNumber().Int64Value(); }
inline void setField(double& field, const Napi::Value& value) { field = value.ToNumber().DoubleValue(); }

template <class P>
P takeParams(Napi::Env env, napi_value given) {
  const Napi::Object object = Napi::Value(env, given).As<Napi::Object>();
  P params{};
  std::apply([&](auto... field) { (setField(params.*field.member, object.Get(field.name)), ...); },
             P::fields());
  return params;
}

inline Saved takeSaved(Launch& launch, napi_value given, bool written) {
  Saved saved;
  for (SavedHandle::Part& part : unwrapSaved(launch.env, given).parts)
    saved.push_back(launch.use(part.handle, written && part.fresh));
  return saved;
}

inline bool isAbsent(Napi::Env env, napi_value given) {
  const Napi::Value value(env, given);
  return value.IsNull() || value.IsUndefined();
}

/// An argument as it is kept while the operation is queued.
template <class Parameter>
auto take(Launch& launch, napi_value given) {
  using Target = std::remove_pointer_t<std::remove_reference_t<Parameter>>;
  using T = std::remove_const_t<Target>;
  constexpr bool kWritten = !std::is_const_v<Target>;
  if constexpr (std::is_pointer_v<Parameter>) {
    std::optional<T> value;
    if (!isAbsent(launch.env, given)) value = take<Target&>(launch, given);
    return value;
  } else if constexpr (std::is_same_v<T, Saved>)
    return takeSaved(launch, given, kWritten);
  else if constexpr (std::is_same_v<T, Tensor>)
    return launch.use(unwrapHandle(launch.env, given), kWritten);
  else
    return takeParams<T>(launch.env, given);
}

/// The kept argument as the function wants it.
template <class Parameter, class Kept>
Parameter pass(Kept& kept) {
  if constexpr (std::is_pointer_v<Parameter>)
    return kept ? &*kept : nullptr;
  else
    return kept;
}

template <auto kFunction, Stream::Operation::Kind kKind = Stream::Operation::Kind::Compute>
struct Launcher;

template <class... Parameters, void (*kFunction)(Context&, Parameters...), Stream::Operation::Kind kKind>
struct Launcher<kFunction, kKind> {
  static void call(const Napi::CallbackInfo& info) {
    enqueue(info, std::make_index_sequence<sizeof...(Parameters)>());
  }

 private:
  template <size_t... I>
  static void enqueue(const Napi::CallbackInfo& info, std::index_sequence<I...>) {
    const Napi::Env env = info.Env();
    Launch launch(env, static_cast<const char*>(info.Data()));
    // Braces: the arguments are taken from left to right.
    std::tuple<decltype(take<Parameters>(launch, info[I]))...> arguments{
        take<Parameters>(launch, info[I])...};
    launch.operation.run = [arguments = std::move(arguments)](Context& context) mutable {
      kFunction(context, pass<Parameters>(std::get<I>(arguments))...);
    };
    launch.operation.kind = kKind;
    Stream& stream = Environment::of(env).device(env, launch.device).stream;
    // A queue that fills up in the middle of an optimizer's step must not cut it in two.
    if constexpr (kKind == Stream::Operation::Kind::Update)
      stream.pushAwaited(std::move(launch.operation));
    else
      stream.push(std::move(launch.operation));
  }
};

/// Makes the saved state that `…Save` of ops.h asks for: (params, x, y) → saved.
template <auto kFunction>
struct Saver;

template <class P, std::vector<SavedSpec> (*kFunction)(const P&, const Shape&, const Shape&)>
struct Saver<kFunction> {
  static Napi::Value call(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    const P params = takeParams<P>(env, info[0]);
    Handle& x = unwrapHandle(env, info[1]);
    Handle& y = unwrapHandle(env, info[2]);
    auto saved = std::make_unique<SavedHandle>();
    for (const SavedSpec& spec : kFunction(params, x.shape, y.shape)) {
      if (spec.kind == SavedSpec::Kind::New)
        saved->parts.push_back(
            {allocate(env, Environment::of(env).device(env, x.device), spec.dtype, spec.shape), true});
      else
        saved->parts.push_back({spec.kind == SavedSpec::Kind::X ? x : y, false});
    }
    return wrap(env, std::move(saved));
  }
};

}  // namespace nodecudnn
