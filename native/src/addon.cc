// What the addon exports: NativeAddon of lib/native.ts.
#include <bpf/libbpf.h>
#include <napi.h>

#include <string>

#include "arguments.h"
#include "attach_unlinked.h"
#include "attachment.h"
#include "btf_dump.h"
#include "elf_section.h"
#include "elf_symbols.h"
#include "environment.h"
#include "inspect.h"
#include "kprobe_event.h"
#include "libbpf_features.h"
#include "link.h"
#include "log_capture.h"
#include "map.h"
#include "map_definition.h"
#include "object.h"
#include "perf_recorder_handle.h"
#include "probes.h"
#include "program.h"
#include "ring_reader.h"
#include "system.h"
#include "test_run.h"
#include "user_ring_writer.h"

namespace ebpf {
namespace {

/// libbpf's own version string lacks the patch number; pkg-config's has it, as long as it speaks of the library that
/// runs.
std::string LibbpfVersion() {
  const std::string running = std::to_string(libbpf_major_version()) + "." + std::to_string(libbpf_minor_version());
  const std::string built = EBPF_LIBBPF_VERSION;
  return built.rfind(running + ".", 0) == 0 ? built : running + ".0";
}

Napi::Array LibbpfFeatures(Napi::Env env) {
  Napi::Array features = Napi::Array::New(env);
  for (const char* const* name = kLibbpfFeatures; *name != nullptr; ++name) features.Set(features.Length(), *name);
  return features;
}

void SetLogger(const Napi::CallbackInfo& info) {
  const auto [level, sink] = Arguments<Number<int>, Optional<Callable>>(info);
  Environment& environment = Environment::Of(info.Env());
  if (sink) {
    environment.SetLogger(level, *sink);
  } else {
    environment.ClearLogger();
  }
}

/// process.exit() ends a process without ending its environments.
void CloseLinks(const Napi::CallbackInfo& info) {
  Environment::Of(info.Env()).links.CloseAll();
}

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  LogCapture::Install();
  Environment& environment = Environment::Create(env);
  environment.program = Napi::Persistent(Program::Define(env));
  environment.mapDefinition = Napi::Persistent(MapDefinition::Define(env));
  environment.map = Napi::Persistent(Map::Define(env));
  environment.link = Napi::Persistent(Link::Define(env));
  environment.attachment = Napi::Persistent(Attachment::Define(env));

  exports.Set("libbpfVersion", LibbpfVersion());
  exports.Set("libbpfFeatures", LibbpfFeatures(env));
  exports.Set("Object", Object::Define(env));
  exports.Set("RingReader", RingReader::Define(env));
  exports.Set("PerfRecorder", PerfRecorderHandle::Define(env));
  exports.Set("UserRingWriter", UserRingWriter::Define(env));
  exports.Set("mapFromPin", Napi::Function::New<MapFromPin>(env, "mapFromPin"));
  exports.Set("mapFromId", Napi::Function::New<MapFromId>(env, "mapFromId"));
  exports.Set("mapFromFd", Napi::Function::New<MapFromFd>(env, "mapFromFd"));
  exports.Set("mapCreate", Napi::Function::New<MapCreate>(env, "mapCreate"));
  exports.Set("btfById", Napi::Function::New<BtfById>(env, "btfById"));
  exports.Set("openProcess", Napi::Function::New<OpenProcess>(env, "openProcess"));
  exports.Set("linkFromPin", Napi::Function::New<Link::FromPin>(env, "linkFromPin"));
  exports.Set("linkFromFd", Napi::Function::New<Link::FromFd>(env, "linkFromFd"));
  exports.Set("linkCreate", Napi::Function::New<Link::Create>(env, "linkCreate"));
  exports.Set("closeLinks", Napi::Function::New<CloseLinks>(env, "closeLinks"));
  exports.Set("setLogger", Napi::Function::New<SetLogger>(env, "setLogger"));
  exports.Set("testRun", Napi::Function::New<TestRun>(env, "testRun"));
  ExportProbes(env, exports);
  ExportUnlinkedAttachments(env, exports);
  ExportKprobeEvent(env, exports);
  ExportSystem(env, exports);
  ExportInspection(env, exports);
  ExportBtfDump(env, exports);
  ExportElfSection(env, exports);
  ExportElfSymbols(env, exports);
  return exports;
}

}  // namespace
}  // namespace ebpf

static Napi::Object InitializeAddon(Napi::Env env, Napi::Object exports) {
  return ebpf::Initialize(env, exports);
}

NODE_API_MODULE(NODE_GYP_MODULE_NAME, InitializeAddon)
