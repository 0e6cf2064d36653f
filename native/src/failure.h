// From an errno to the JavaScript error that the contract calls NativeFailure.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "log_capture.h"

namespace ebpf {

/// The error as a value; null when the environment is going down and makes no more values. Throws nothing.
napi_value MakeFailure(napi_env env, int error, const char* operation, const std::vector<LogMessage>& log = {});

/// An array of strings; null when the environment is going down. Throws nothing.
napi_value MakeStrings(napi_env env, const std::vector<std::string>& strings);

/// Throws it as a C++ exception, which node-addon-api hands on to JavaScript.
[[noreturn]] void ThrowFailure(napi_env env, int error, const char* operation, const std::vector<LogMessage>& log = {});

}  // namespace ebpf
