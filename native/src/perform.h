// Runs one call of libbpf's: what it prints is gathered, what fails is thrown with it.
#pragma once

#include <errno.h>

#include <utility>

#include "environment.h"
#include "failure.h"

namespace ebpf {

// libbpf 1.x: a function that returns a number returns -errno, one that returns a pointer returns null and sets errno.
inline int ErrorOf(int result) {
  return result < 0 ? -result : 0;
}
template <typename T>
int ErrorOf(T* result) {
  return result == nullptr ? (errno != 0 ? errno : EINVAL) : 0;
}

/// With a capture of the caller's, of which it wants more than the messages.
template <typename Call>
auto Perform(napi_env env, LogCapture& capture, const char* operation, Call&& call) {
  Environment& environment = Environment::Of(env);
  errno = 0;
  const auto result = call();
  const int error = ErrorOf(result);
  const std::vector<LogMessage> log = capture.Take();
  if (!log.empty()) environment.Publish(log);
  if (error != 0) ThrowFailure(env, error, operation, log);
  return result;
}

template <typename Call>
auto Perform(napi_env env, const char* operation, Call&& call) {
  LogCapture capture(Environment::Of(env).captureLevel());
  return Perform(env, capture, operation, std::forward<Call>(call));
}

}  // namespace ebpf
