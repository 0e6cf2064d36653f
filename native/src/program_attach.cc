// The ways to attach a program: one method each, no choice between them (lib/ chooses).
#include "program_attach.h"
#include "arguments.h"
#include "libbpf_features.h"
#include "program.h"

namespace ebpf {

Napi::Value Program::Attach(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach";
  bpf_program* const program = Use(info.Env(), kOperation);
  return Attached(info.Env(), kOperation, [&] { return bpf_program__attach(program); });
}

Napi::Value Program::AttachKprobe(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_kprobe_opts";
  bpf_program* const program = Use(info.Env(), kOperation);
  const auto arguments = Arguments<Text, Options>(info);
  const std::string& function = std::get<0>(arguments);
  const Napi::Object& options = std::get<1>(arguments);

  bpf_kprobe_opts libbpf{};
  libbpf.sz = sizeof libbpf;
  libbpf.retprobe = Option<Flag>(options, "retprobe");
  libbpf.offset = Option<Number<uint32_t>>(options, "offset");
  libbpf.bpf_cookie = Option<Unsigned64>(options, "cookie");
  const uint32_t mode = Option<Number<uint32_t>>(options, "mode");
#if EBPF_HAS_KPROBE_ATTACH_MODE
  libbpf.attach_mode = static_cast<probe_attach_mode>(mode);
#else
  if (mode != 0) ThrowFailure(info.Env(), EOPNOTSUPP, kOperation);
#endif
  return Attached(info.Env(), kOperation,
                  [&] { return bpf_program__attach_kprobe_opts(program, function.c_str(), &libbpf); });
}

Napi::Value Program::AttachTracepoint(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_tracepoint_opts";
  bpf_program* const program = Use(info.Env(), kOperation);
  const auto arguments = Arguments<Text, Text, Unsigned64>(info);

  bpf_tracepoint_opts libbpf{};
  libbpf.sz = sizeof libbpf;
  libbpf.bpf_cookie = std::get<2>(arguments);
  return Attached(info.Env(), kOperation, [&] {
    return bpf_program__attach_tracepoint_opts(program, std::get<0>(arguments).c_str(), std::get<1>(arguments).c_str(),
                                               &libbpf);
  });
}

Napi::Value Program::AttachRawTracepoint(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_raw_tracepoint";
  bpf_program* const program = Use(info.Env(), kOperation);
  const auto arguments = Arguments<Text, Unsigned64>(info);
  const char* const name = std::get<0>(arguments).c_str();
  if (const uint64_t cookie = std::get<1>(arguments)) {
    constexpr char kOperationWithCookie[] = "bpf_program__attach_raw_tracepoint_opts";
#if EBPF_HAS_RAW_TP_COOKIE
    bpf_raw_tracepoint_opts libbpf{};
    libbpf.sz = sizeof libbpf;
    libbpf.cookie = cookie;
    return Attached(info.Env(), kOperationWithCookie,
                    [&] { return bpf_program__attach_raw_tracepoint_opts(program, name, &libbpf); });
#else
    ThrowFailure(info.Env(), EOPNOTSUPP, kOperationWithCookie);
#endif
  }
  return Attached(info.Env(), kOperation, [&] { return bpf_program__attach_raw_tracepoint(program, name); });
}

Napi::Value Program::AttachTrace(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_trace_opts";
  bpf_program* const program = Use(info.Env(), kOperation);
  const auto [cookie] = Arguments<Unsigned64>(info);

  bpf_trace_opts libbpf{};
  libbpf.sz = sizeof libbpf;
  libbpf.cookie = cookie;
  return Attached(info.Env(), kOperation, [&] { return bpf_program__attach_trace_opts(program, &libbpf); });
}

Napi::Value Program::AttachCgroup(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_cgroup";
  bpf_program* const program = Use(info.Env(), kOperation);
  const auto [fd] = Arguments<Number<int>>(info);
  return Attached(info.Env(), kOperation, [&, fd = fd] { return bpf_program__attach_cgroup(program, fd); });
}

}  // namespace ebpf
