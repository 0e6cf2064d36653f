// Arguments, declared by their kinds and checked in one place:
//
//   const auto [path, flags] = Arguments<Text, Optional<Number<uint32_t>>>(info);
//
// lib/ has checked what users pass; this keeps a mistake in lib/ an exception and not a crash.
#pragma once

#include <napi.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

namespace ebpf {

struct Text {
  using Type = std::string;
  static constexpr const char* kName = "a string";
  static bool Is(const Napi::Value& value) { return value.IsString(); }
  static Type From(const Napi::Value& value) { return value.As<Napi::String>().Utf8Value(); }
};

struct Flag {
  using Type = bool;
  static constexpr const char* kName = "a boolean";
  static bool Is(const Napi::Value& value) { return value.IsBoolean(); }
  static Type From(const Napi::Value& value) { return value.As<Napi::Boolean>().Value(); }
};

template <typename T>
struct Number {
  using Type = T;
  static constexpr const char* kName = "an integer within range";
  static bool Is(const Napi::Value& value) {
    if (!value.IsNumber()) return false;
    const double number = value.As<Napi::Number>().DoubleValue();
    return number == std::trunc(number) && number >= static_cast<double>(std::numeric_limits<T>::min()) &&
           number <= std::min(9007199254740991.0, static_cast<double>(std::numeric_limits<T>::max()));
  }
  static Type From(const Napi::Value& value) { return static_cast<T>(value.As<Napi::Number>().DoubleValue()); }
};

struct Unsigned64 {
  using Type = uint64_t;
  static constexpr const char* kName = "a bigint of 64 bits";
  static bool Is(const Napi::Value& value) {
    bool lossless = false;
    if (!value.IsBigInt()) return false;
    value.As<Napi::BigInt>().Uint64Value(&lossless);
    return lossless;
  }
  static Type From(const Napi::Value& value) {
    bool lossless = false;
    return value.As<Napi::BigInt>().Uint64Value(&lossless);
  }
};

/// Memory of JavaScript's, good for as long as nothing returns to JavaScript.
struct Span {
  uint8_t* data;
  size_t size;
};

struct Bytes {
  using Type = Span;
  static constexpr const char* kName = "a Uint8Array";
  static bool Is(const Napi::Value& value) {
    return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
  }
  static Type From(const Napi::Value& value) {
    auto array = value.As<Napi::Uint8Array>();
    return {array.Data(), array.ByteLength()};
  }
};

struct Integers {
  using Type = Napi::Int32Array;
  static constexpr const char* kName = "an Int32Array";
  static bool Is(const Napi::Value& value) {
    return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_int32_array;
  }
  static Type From(const Napi::Value& value) { return value.As<Napi::Int32Array>(); }
};

struct Doubles {
  using Type = Napi::Float64Array;
  static constexpr const char* kName = "a Float64Array";
  static bool Is(const Napi::Value& value) {
    return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_float64_array;
  }
  static Type From(const Napi::Value& value) { return value.As<Napi::Float64Array>(); }
};

struct Memory {
  using Type = Napi::ArrayBuffer;
  static constexpr const char* kName = "an ArrayBuffer";
  static bool Is(const Napi::Value& value) { return value.IsArrayBuffer(); }
  static Type From(const Napi::Value& value) { return value.As<Napi::ArrayBuffer>(); }
};

struct Callable {
  using Type = Napi::Function;
  static constexpr const char* kName = "a function";
  static bool Is(const Napi::Value& value) { return value.IsFunction(); }
  static Type From(const Napi::Value& value) { return value.As<Napi::Function>(); }
};

struct Options {
  using Type = Napi::Object;
  static constexpr const char* kName = "an object";
  static bool Is(const Napi::Value& value) { return value.IsObject(); }
  static Type From(const Napi::Value& value) { return value.As<Napi::Object>(); }
};

template <typename Kind>
struct Optional {
  using Type = std::optional<typename Kind::Type>;
  static constexpr const char* kName = Kind::kName;
  static bool Is(const Napi::Value& value) { return value.IsUndefined() || value.IsNull() || Kind::Is(value); }
  static Type From(const Napi::Value& value) {
    if (value.IsUndefined() || value.IsNull()) return std::nullopt;
    return Kind::From(value);
  }
};

/// One value; `name` is for the message.
template <typename Kind>
typename Kind::Type Argument(const Napi::Value& value, const std::string& name) {
  if (!Kind::Is(value)) throw Napi::TypeError::New(value.Env(), name + " must be " + Kind::kName);
  return Kind::From(value);
}

template <typename... Kinds, size_t... I>
std::tuple<typename Kinds::Type...> ArgumentsAt(const Napi::CallbackInfo& info, std::index_sequence<I...>) {
  return {Argument<Kinds>(info[I], "argument " + std::to_string(I + 1))...};
}

template <typename... Kinds>
std::tuple<typename Kinds::Type...> Arguments(const Napi::CallbackInfo& info) {
  return ArgumentsAt<Kinds...>(info, std::index_sequence_for<Kinds...>());
}

/// One property of a bag of options.
template <typename Kind>
typename Kind::Type Option(const Napi::Object& options, const char* name) {
  return Argument<Kind>(options.Get(name), name);
}

}  // namespace ebpf
