// Ways to attach for which the kernel has no link; see attachment.h.
#pragma once

#include <napi.h>

namespace ebpf {

void ExportUnlinkedAttachments(Napi::Env env, Napi::Object exports);

}  // namespace ebpf
