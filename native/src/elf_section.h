// A section of an ELF object, which libbpf keeps to itself.
#pragma once

#include <napi.h>

namespace ebpf {

void ExportElfSection(Napi::Env env, Napi::Object exports);

}  // namespace ebpf
