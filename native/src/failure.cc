#include "failure.h"

#include <bpf/libbpf.h>

#include <string>

namespace ebpf {
namespace {
napi_value MakeString(napi_env env, const std::string& text) {
  napi_value value = nullptr;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  return value;
}
}  // namespace

napi_value MakeStrings(napi_env env, const std::vector<std::string>& strings) {
  napi_value array = nullptr;
  if (napi_create_array_with_length(env, strings.size(), &array) != napi_ok) return nullptr;
  uint32_t i = 0;
  for (const std::string& text : strings) {
    if (napi_set_element(env, array, i++, MakeString(env, text)) != napi_ok) return nullptr;
  }
  return array;
}

napi_value MakeFailure(napi_env env, int error, const char* operation, const std::vector<LogMessage>& log) {
  char reason[128];
  // strerror's texts, and those of libbpf's own numbers from 4000 on.
  libbpf_strerror(error, reason, sizeof reason);
  const std::string message = std::string(operation) + ": " + reason;

  std::vector<std::string> texts;
  for (const LogMessage& entry : log) {
    if (entry.level <= kLogInfo) texts.push_back(entry.text);
  }
  napi_value failure = nullptr, number = nullptr;
  if (napi_create_error(env, nullptr, MakeString(env, message), &failure) != napi_ok ||
      napi_create_int32(env, error, &number) != napi_ok ||
      napi_set_named_property(env, failure, "errno", number) != napi_ok ||
      napi_set_named_property(env, failure, "operation", MakeString(env, operation)) != napi_ok) {
    return nullptr;
  }
  const napi_value entries = MakeStrings(env, texts);
  return entries != nullptr && napi_set_named_property(env, failure, "log", entries) == napi_ok ? failure : nullptr;
}

void ThrowFailure(napi_env env, int error, const char* operation, const std::vector<LogMessage>& log) {
  const napi_value failure = MakeFailure(env, error, operation, log);
  if (failure == nullptr) throw Napi::Error::New(env, operation);
  throw Napi::Error(env, failure);
}

}  // namespace ebpf
