// What is in the kernel: programs, maps, links and BTF by id, and their info.
#pragma once

#include <napi.h>

namespace ebpf {

void ExportInspection(Napi::Env env, Napi::Object exports);

}  // namespace ebpf
