// BPF_PROG_TEST_RUN: runs a loaded program once or many times on data that the caller gives.
#pragma once

#include <napi.h>

namespace ebpf {

Napi::Value TestRun(const Napi::CallbackInfo& info);

}  // namespace ebpf
