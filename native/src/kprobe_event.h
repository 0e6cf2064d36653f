// kprobes that tracefs defines; see attachment.h for how they end.
#pragma once

#include <napi.h>

namespace ebpf {

void ExportKprobeEvent(Napi::Env env, Napi::Object exports);

}  // namespace ebpf
