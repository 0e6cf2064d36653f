#include "program.h"

#include <string.h>

#include "arguments.h"
#include "environment.h"
#include "perform.h"
#include "property.h"

namespace ebpf {
namespace {
constexpr char kSetType[] = "bpf_program__set_type";
constexpr char kSetExpectedAttachType[] = "bpf_program__set_expected_attach_type";
constexpr char kSetAutoload[] = "bpf_program__set_autoload";
constexpr char kSetLogLevel[] = "bpf_program__set_log_level";
constexpr char kSetFlags[] = "bpf_program__set_flags";
constexpr char kSetAttachTarget[] = "bpf_program__set_attach_target";
}  // namespace

Napi::Function Program::Define(Napi::Env env) {
  return DefineClass(
      env, "Program",
      {
          InstanceAccessor<&Program::Read<bpf_program__name>>("name"),
          InstanceAccessor<&Program::Read<bpf_program__section_name>>("section"),
          InstanceAccessor<&Program::IsOptional>("optional"),
          InstanceAccessor<&Program::Read<bpf_program__insn_cnt>>("instructionCount"),
          InstanceAccessor<&Program::Read<bpf_program__type>, &Program::Write<bpf_program__set_type, kSetType>>("type"),
          InstanceAccessor<&Program::Read<bpf_program__expected_attach_type>,
                           &Program::Write<bpf_program__set_expected_attach_type, kSetExpectedAttachType>>(
              "expectedAttachType"),
          InstanceAccessor<&Program::Read<bpf_program__autoload>,
                           &Program::Write<bpf_program__set_autoload, kSetAutoload>>("autoload"),
          InstanceAccessor<&Program::Read<bpf_program__autoattach>, &Program::SetAutoattach>("autoattach"),
          InstanceAccessor<&Program::Read<bpf_program__log_level>,
                           &Program::Write<bpf_program__set_log_level, kSetLogLevel>>("logLevel"),
          InstanceAccessor<&Program::Read<bpf_program__flags>, &Program::Write<bpf_program__set_flags, kSetFlags>>(
              "flags"),
          InstanceMethod<&Program::SetAttachTarget>("setAttachTarget"),
          InstanceMethod<&Program::Instructions>("instructions"),
          InstanceMethod<&Program::Fd>("fd"),
          InstanceMethod<&Program::Attach>("attach"),
          InstanceMethod<&Program::AttachKprobe>("attachKprobe"),
          InstanceMethod<&Program::AttachTracepoint>("attachTracepoint"),
          InstanceMethod<&Program::AttachRawTracepoint>("attachRawTracepoint"),
          InstanceMethod<&Program::AttachTrace>("attachTrace"),
          InstanceMethod<&Program::AttachCgroup>("attachCgroup"),
          InstanceMethod<&Program::AttachKprobeMulti>("attachKprobeMulti"),
          InstanceMethod<&Program::AttachKsyscall>("attachKsyscall"),
          InstanceMethod<&Program::AttachUprobeMulti>("attachUprobeMulti"),
          InstanceMethod<&Program::AttachUprobe>("attachUprobe"),
          InstanceMethod<&Program::AttachUsdt>("attachUsdt"),
          InstanceMethod<&Program::AttachPerfEvent>("attachPerfEvent"),
          InstanceMethod<&Program::AttachNetfilter>("attachNetfilter"),
          InstanceMethod<&Program::AttachNetns>("attachNetns"),
          InstanceMethod<&Program::AttachFreplace>("attachFreplace"),
          InstanceMethod<&Program::AttachLsm>("attachLsm"),
          InstanceMethod<&Program::AttachIter>("attachIter"),
      });
}

Napi::Value Program::Make(Napi::Env env, const std::shared_ptr<ObjectHandle>& handle, bpf_program* program) {
  Source source{handle, program};
  return Environment::Of(env).program.New({Napi::External<Source>::New(env, &source)});
}

Program::Program(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Program>(info) {
  if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "programs come from an object");
  const Source& source = *info[0].As<Napi::External<Source>>().Data();
  handle_ = source.handle;
  program_ = source.program;
  optional_ = !bpf_program__autoload(program_);
}

bpf_program* Program::Use(napi_env env, const char* operation) const {
  handle_->Use(env, operation);
  return program_;
}

template <auto Get>
Napi::Value Program::Read(const Napi::CallbackInfo& info) {
  return ToValue(info.Env(), Get(Use(info.Env(), "bpf_program")));
}

template <auto Set, const char* operation>
void Program::Write(const Napi::CallbackInfo& info, const Napi::Value& value) {
  bpf_program* const program = Use(info.Env(), operation);
  const auto checked = FromValue<decltype(SetterValue(Set))>(value);
  Perform(info.Env(), operation, [&] { return Set(program, checked); });
}

Napi::Value Program::IsOptional(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), optional_);
}

void Program::SetAutoattach(const Napi::CallbackInfo& info, const Napi::Value& value) {
  bpf_program__set_autoattach(Use(info.Env(), "bpf_program__set_autoattach"), FromValue<bool>(value));
}

void Program::SetAttachTarget(const Napi::CallbackInfo& info) {
  const auto [fd, function] = Arguments<Number<int>, Text>(info);
  bpf_program* const program = Use(info.Env(), kSetAttachTarget);
  Perform(info.Env(), kSetAttachTarget,
          [&, fd = fd, name = function.c_str()] { return bpf_program__set_attach_target(program, fd, name); });
}

Napi::Value Program::Instructions(const Napi::CallbackInfo& info) {
  const bpf_program* const program = Use(info.Env(), "bpf_program__insns");
  const size_t size = bpf_program__insn_cnt(program) * sizeof(bpf_insn);
  Napi::Uint8Array copy = Napi::Uint8Array::New(info.Env(), size);
  if (size > 0) memcpy(copy.Data(), bpf_program__insns(program), size);
  return copy;
}

Napi::Value Program::Fd(const Napi::CallbackInfo& info) {
  const int fd = bpf_program__fd(Use(info.Env(), "bpf_program__fd"));
  return Napi::Number::New(info.Env(), fd < 0 ? -1 : fd);
}

}  // namespace ebpf
