// Functions and tracepoints of user space, and perf events.
#include <unistd.h>

#include "arguments.h"
#include "libbpf_features.h"
#include "program.h"
#include "program_attach.h"

namespace ebpf {

Napi::Value Program::AttachUprobe(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_uprobe_opts";
  bpf_program* const program = Use(info.Env(), kOperation);
  const auto arguments = Arguments<Number<int>, Text, Unsigned64, Options>(info);
  const Napi::Object& options = std::get<3>(arguments);
  const auto function = Option<Optional<Text>>(options, "function");

  bpf_uprobe_opts libbpf{};
  libbpf.sz = sizeof libbpf;
  libbpf.ref_ctr_offset = Option<Unsigned64>(options, "refCounterOffset");
  libbpf.bpf_cookie = Option<Unsigned64>(options, "cookie");
  libbpf.retprobe = Option<Flag>(options, "retprobe");
  libbpf.func_name = function ? function->c_str() : nullptr;
  const uint32_t mode = Option<Number<uint32_t>>(options, "mode");
#if EBPF_HAS_KPROBE_ATTACH_MODE
  libbpf.attach_mode = static_cast<probe_attach_mode>(mode);
#else
  if (mode != 0) ThrowFailure(info.Env(), EOPNOTSUPP, kOperation);
#endif
  return Attached(info.Env(), kOperation, [&] {
    return bpf_program__attach_uprobe_opts(program, std::get<0>(arguments), std::get<1>(arguments).c_str(),
                                           std::get<2>(arguments), &libbpf);
  });
}

Napi::Value Program::AttachUsdt(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_usdt";
  bpf_program* const program = Use(info.Env(), kOperation);
  const auto arguments = Arguments<Number<int>, Text, Text, Text, Unsigned64>(info);
  bpf_usdt_opts libbpf{};
  libbpf.sz = sizeof libbpf;
  libbpf.usdt_cookie = std::get<4>(arguments);
  return Attached(info.Env(), kOperation, [&] {
    return bpf_program__attach_usdt(program, std::get<0>(arguments), std::get<1>(arguments).c_str(),
                                    std::get<2>(arguments).c_str(), std::get<3>(arguments).c_str(), &libbpf);
  });
}

/// Takes the event's descriptor, also where it fails.
Napi::Value Program::AttachPerfEvent(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_perf_event_opts";
  const auto [fd, cookie] = Arguments<Number<int>, Unsigned64>(info);
  bpf_perf_event_opts libbpf{};
  libbpf.sz = sizeof libbpf;
  libbpf.bpf_cookie = cookie;
  try {
    bpf_program* const program = Use(info.Env(), kOperation);
    return Attached(info.Env(), kOperation,
                    [&, fd = fd] { return bpf_program__attach_perf_event_opts(program, fd, &libbpf); });
  } catch (...) {
    ::close(fd);
    throw;
  }
}

}  // namespace ebpf
