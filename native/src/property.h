// libbpf's getters and setters as JavaScript properties.
#pragma once

#include <linux/types.h>
#include <napi.h>

#include <type_traits>

#include "arguments.h"

namespace ebpf {

template <typename T>
Napi::Value ToValue(napi_env env, T value) {
  if constexpr (std::is_same_v<T, bool>) {
    return Napi::Boolean::New(env, value);
  } else if constexpr (std::is_same_v<T, const char*>) {
    if (value == nullptr) return Napi::Env(env).Undefined();
    return Napi::String::New(env, value);
  } else if constexpr (std::is_same_v<T, __u64>) {
    // The kernel's 64-bit fields; a size_t (another type, of the same width) is a count and a number.
    return Napi::BigInt::New(env, static_cast<uint64_t>(value));
  } else {
    return Napi::Number::New(env, static_cast<double>(value));
  }
}

/// The type of the value that a setter takes.
template <typename Handle, typename T>
T SetterValue(int (*)(Handle, T));

template <typename T>
T FromValue(const Napi::Value& value) {
  constexpr const char* kName = "the value";
  if constexpr (std::is_same_v<T, bool>) {
    return Argument<Flag>(value, kName);
  } else if constexpr (std::is_same_v<T, __u64>) {
    return Argument<Unsigned64>(value, kName);
  } else if constexpr (std::is_enum_v<T>) {
    return static_cast<T>(Argument<Number<uint32_t>>(value, kName));
  } else {
    return Argument<Number<T>>(value, kName);
  }
}

}  // namespace ebpf
