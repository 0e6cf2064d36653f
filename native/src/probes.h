// What this kernel supports, and libbpf's tables of names.
#pragma once

#include <napi.h>

namespace ebpf {

void ExportProbes(Napi::Env env, Napi::Object exports);

}  // namespace ebpf
