#include "probes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>

#include "arguments.h"
#include "fd.h"
#include "perform.h"
#include "property.h"

namespace ebpf {
namespace {

/// A probe's "cannot tell" is an answer and not a failure.
template <typename Call>
Napi::Value Probe(napi_env env, Call&& call) {
  LogCapture silent(-1);
  return Napi::Number::New(env, call());
}

Napi::Value ProbeProgramType(const Napi::CallbackInfo& info) {
  const auto [type] = Arguments<Number<uint32_t>>(info);
  return Probe(info.Env(),
               [type = type] { return libbpf_probe_bpf_prog_type(static_cast<bpf_prog_type>(type), nullptr); });
}

Napi::Value ProbeMapType(const Napi::CallbackInfo& info) {
  const auto [type] = Arguments<Number<uint32_t>>(info);
  return Probe(info.Env(),
               [type = type] { return libbpf_probe_bpf_map_type(static_cast<bpf_map_type>(type), nullptr); });
}

Napi::Value ProbeHelper(const Napi::CallbackInfo& info) {
  const auto [type, helper] = Arguments<Number<uint32_t>, Number<uint32_t>>(info);
  return Probe(info.Env(), [type = type, helper = helper] {
    return libbpf_probe_bpf_helper(static_cast<bpf_prog_type>(type), static_cast<bpf_func_id>(helper), nullptr);
  });
}

/// Loads the smallest program about something of the kernel's own, and lets go of it.
int LoadAbout(bpf_prog_type type, bpf_attach_type attachType, const std::string& target) {
  const int id = libbpf_find_vmlinux_btf_id(target.c_str(), attachType);
  if (id <= 0) return -ENOENT;
  constexpr bpf_insn kReturnZero[] = {
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  options.expected_attach_type = attachType;
  options.attach_btf_id = static_cast<uint32_t>(id);
  const UniqueFd program(bpf_prog_load(type, "probe", "GPL", kReturnZero, std::size(kReturnZero), &options));
  return program.IsOpen() ? 1 : -errno;
}

Napi::Value ProbeAttachType(const Napi::CallbackInfo& info) {
  const auto [type, attachType, target] = Arguments<Number<uint32_t>, Number<uint32_t>, Text>(info);
  return Probe(info.Env(), [type = type, attachType = attachType, &target = target] {
    return LoadAbout(static_cast<bpf_prog_type>(type), static_cast<bpf_attach_type>(attachType), target);
  });
}

template <typename Type>
Type NamedType(const char* (*)(Type));

template <auto NameOf>
Napi::Value Name(const Napi::CallbackInfo& info) {
  const auto [type] = Arguments<Number<int>>(info);
  return ToValue(info.Env(), NameOf(static_cast<decltype(NamedType(NameOf))>(type)));
}

Napi::Value PossibleCpus(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(),
                           Perform(info.Env(), "libbpf_num_possible_cpus", [] { return libbpf_num_possible_cpus(); }));
}

}  // namespace

void ExportProbes(Napi::Env env, Napi::Object exports) {
  exports.Set("possibleCpus", Napi::Function::New<PossibleCpus>(env, "possibleCpus"));
  exports.Set("probeProgramType", Napi::Function::New<ProbeProgramType>(env, "probeProgramType"));
  exports.Set("probeMapType", Napi::Function::New<ProbeMapType>(env, "probeMapType"));
  exports.Set("probeAttachType", Napi::Function::New<ProbeAttachType>(env, "probeAttachType"));
  exports.Set("probeHelper", Napi::Function::New<ProbeHelper>(env, "probeHelper"));
  exports.Set("programTypeName", Napi::Function::New<Name<libbpf_bpf_prog_type_str>>(env, "programTypeName"));
  exports.Set("attachTypeName", Napi::Function::New<Name<libbpf_bpf_attach_type_str>>(env, "attachTypeName"));
  exports.Set("mapTypeName", Napi::Function::New<Name<libbpf_bpf_map_type_str>>(env, "mapTypeName"));
  exports.Set("linkTypeName", Napi::Function::New<Name<libbpf_bpf_link_type_str>>(env, "linkTypeName"));
}

}  // namespace ebpf
