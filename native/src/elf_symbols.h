// Names of functions in ELF files, for lib/symbols.
#pragma once

#include <napi.h>

namespace ebpf {

void ExportElfSymbols(Napi::Env env, Napi::Object exports);

}  // namespace ebpf
