#include "probes.h"

#include <bpf/libbpf.h>

#include "arguments.h"
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
  exports.Set("probeHelper", Napi::Function::New<ProbeHelper>(env, "probeHelper"));
  exports.Set("programTypeName", Napi::Function::New<Name<libbpf_bpf_prog_type_str>>(env, "programTypeName"));
  exports.Set("attachTypeName", Napi::Function::New<Name<libbpf_bpf_attach_type_str>>(env, "attachTypeName"));
  exports.Set("mapTypeName", Napi::Function::New<Name<libbpf_bpf_map_type_str>>(env, "mapTypeName"));
  exports.Set("linkTypeName", Napi::Function::New<Name<libbpf_bpf_link_type_str>>(env, "linkTypeName"));
}

}  // namespace ebpf
