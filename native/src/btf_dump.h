// BTF as C text, and the parts of an object's BTF that a bpf_object does not show.
#pragma once

#include <napi.h>

namespace ebpf {

void ExportBtfDump(Napi::Env env, Napi::Object exports);

}  // namespace ebpf
