#include "object.h"

#include <bpf/btf.h>

#include <vector>

#include "arguments.h"
#include "load_object.h"
#include "load_worker.h"
#include "map_definition.h"
#include "perform.h"
#include "program.h"

namespace ebpf {
namespace {

/// libbpf's options, and the strings that they point to.
class OpenOptions {
 public:
  explicit OpenOptions(const Napi::Object& options)
      : name_(Option<Optional<Text>>(options, "name")),
        btfCustomPath_(Option<Optional<Text>>(options, "btfCustomPath")),
        kconfig_(Option<Optional<Text>>(options, "kconfig")),
        pinRootPath_(Option<Optional<Text>>(options, "pinRootPath")) {
    libbpf_.sz = sizeof libbpf_;
    libbpf_.object_name = Get(name_);
    libbpf_.btf_custom_path = Get(btfCustomPath_);
    libbpf_.kconfig = Get(kconfig_);
    libbpf_.pin_root_path = Get(pinRootPath_);
    libbpf_.kernel_log_level = Option<Optional<Number<uint32_t>>>(options, "kernelLogLevel").value_or(0);
  }
  OpenOptions(const OpenOptions&) = delete;
  OpenOptions& operator=(const OpenOptions&) = delete;

  const bpf_object_open_opts* libbpf() const { return &libbpf_; }

 private:
  static const char* Get(const std::optional<std::string>& text) { return text ? text->c_str() : nullptr; }

  const std::optional<std::string> name_;
  const std::optional<std::string> btfCustomPath_;
  const std::optional<std::string> kconfig_;
  const std::optional<std::string> pinRootPath_;
  bpf_object_open_opts libbpf_{};
};

bpf_object* Open(const Napi::CallbackInfo& info, const OpenOptions& options) {
  if (info[0].IsString()) {
    const std::string path = Text::From(info[0]);
    return Perform(info.Env(), "bpf_object__open_file",
                   [&] { return bpf_object__open_file(path.c_str(), options.libbpf()); });
  }
  const Span source = Argument<Bytes>(info[0], "source");
  // Copied: libelf wants aligned memory and may rewrite it, which a caller's array must not see.
  const std::vector<uint8_t> bytes(source.data, source.data + source.size);
  return Perform(info.Env(), "bpf_object__open_mem",
                 [&] { return bpf_object__open_mem(bytes.data(), bytes.size(), options.libbpf()); });
}

}  // namespace

Napi::Function Object::Define(Napi::Env env) {
  return DefineClass(env, "Object",
                     {
                         InstanceMethod<&Object::Btf>("btf"),
                         InstanceMethod<&Object::Load>("load"),
                         InstanceMethod<&Object::LoadSync>("loadSync"),
                         InstanceMethod<&Object::Close>("close"),
                     });
}

Object::Object(const Napi::CallbackInfo& info) : Held<Object>(info) {
  const Napi::Env env = info.Env();
  const OpenOptions options(Argument<Options>(info[1], "options"));
  handle_ = std::make_shared<ObjectHandle>(Open(info, options));
  bpf_object* const object = handle_->Use(env, "bpf_object__open");

  Napi::Object self = info.This().As<Napi::Object>();
  self.Set("name", Napi::String::New(env, bpf_object__name(object)));

  Napi::Array programs = Napi::Array::New(env);
  bpf_program* program;
  bpf_object__for_each_program(program, object) programs.Set(programs.Length(), Program::Make(env, handle_, program));
  self.Set("programs", programs);

  Napi::Array maps = Napi::Array::New(env);
  bpf_map* map;
  bpf_object__for_each_map(map, object) maps.Set(maps.Length(), MapDefinition::Make(env, handle_, map));
  self.Set("maps", maps);

  Hold(Environment::Of(env).objects);
}

Napi::Value Object::Btf(const Napi::CallbackInfo& info) {
  const btf* const types = bpf_object__btf(handle_->Use(info.Env(), "bpf_object__btf"));
  if (types == nullptr) return info.Env().Undefined();
  __u32 size = 0;
  const void* const data = btf__raw_data(types, &size);
  if (data == nullptr) ThrowFailure(info.Env(), ENOMEM, "btf__raw_data");
  Napi::Uint8Array copy = Napi::Uint8Array::New(info.Env(), size);
  std::memcpy(copy.Data(), data, size);
  return copy;
}

Napi::Value Object::Load(const Napi::CallbackInfo& info) {
  handle_->Use(info.Env(), "bpf_object__load");
  return LoadWorker::Start(info.Env(), handle_);
}

Napi::Value Object::LoadSync(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_object__load";
  const Napi::Env env = info.Env();
  bpf_object* const object = handle_->Use(env, kOperation);
  LogCapture capture(Environment::Of(env).captureLevel());
  Perform(env, capture, kOperation, [&] {
    void* arenaData = nullptr;
    const int result = LoadObject(object, arenaData);
    handle_->EndLoad(result, arenaData);
    return result;
  });
  return Napi::Value(env, MakeStrings(env, capture.TakeVerifierLogs()));
}

void Object::Close(const Napi::CallbackInfo&) {
  Free();
}

void Object::CloseWithEnvironment() noexcept {
  Free();
}

void Object::Free() {
  handle_->Close();
  LetGo();
}

}  // namespace ebpf
