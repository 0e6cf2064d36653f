// System calls that attaching needs beside libbpf's: namespaces, devices, perf events, packet sockets.
#pragma once

#include <napi.h>

namespace ebpf {

void ExportSystem(Napi::Env env, Napi::Object exports);

}  // namespace ebpf
