// What goes through BPF trampolines and BTF: other BPF programs, security hooks, iterators.
#include "arguments.h"
#include "program.h"
#include "program_attach.h"

namespace ebpf {

Napi::Value Program::AttachFreplace(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_freplace";
  bpf_program* const program = Use(info.Env(), kOperation);
  const auto arguments = Arguments<Number<int>, Text>(info);
  return Attached(info.Env(), kOperation, [&] {
    return bpf_program__attach_freplace(program, std::get<0>(arguments), std::get<1>(arguments).c_str());
  });
}

Napi::Value Program::AttachLsm(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_lsm";
  bpf_program* const program = Use(info.Env(), kOperation);
  return Attached(info.Env(), kOperation, [&] { return bpf_program__attach_lsm(program); });
}

/// (linkInfo): union bpf_iter_link_info as lib/ lays it out; empty where there is nothing to say.
Napi::Value Program::AttachIter(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_iter";
  bpf_program* const program = Use(info.Env(), kOperation);
  const auto [span] = Arguments<Bytes>(info);
  bpf_iter_attach_opts libbpf{};
  libbpf.sz = sizeof libbpf;
  if (span.size > 0) {
    libbpf.link_info = reinterpret_cast<bpf_iter_link_info*>(span.data);
    libbpf.link_info_len = static_cast<uint32_t>(span.size);
  }
  return Attached(info.Env(), kOperation, [&] { return bpf_program__attach_iter(program, &libbpf); });
}

}  // namespace ebpf
