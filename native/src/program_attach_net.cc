// Network namespaces, and netfilter, by links.
#include "arguments.h"
#include "libbpf_features.h"
#include "program.h"
#include "program_attach.h"

namespace ebpf {
Napi::Value Program::AttachNetfilter(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_netfilter";
  bpf_program* const program = Use(info.Env(), kOperation);
#if EBPF_HAS_TCX
  const auto [options] = Arguments<Options>(info);
  bpf_netfilter_opts libbpf{};
  libbpf.sz = sizeof libbpf;
  libbpf.pf = Option<Number<uint32_t>>(options, "family");
  libbpf.hooknum = Option<Number<uint32_t>>(options, "hook");
  libbpf.priority = Option<Number<int32_t>>(options, "priority");
  libbpf.flags = Option<Number<uint32_t>>(options, "flags");
  return Attached(info.Env(), kOperation, [&] { return bpf_program__attach_netfilter(program, &libbpf); });
#else
  (void)program;
  ThrowFailure(info.Env(), EOPNOTSUPP, kOperation);
#endif
}

Napi::Value Program::AttachNetns(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_netns";
  bpf_program* const program = Use(info.Env(), kOperation);
  const auto [fd] = Arguments<Number<int>>(info);
  return Attached(info.Env(), kOperation, [&, fd = fd] { return bpf_program__attach_netns(program, fd); });
}

}  // namespace ebpf
