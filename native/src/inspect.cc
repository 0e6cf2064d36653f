#include "inspect.h"

#include <bpf/bpf.h>
#include <string.h>

#include <vector>

#include "arguments.h"
#include "libbpf_features.h"
#include "perform.h"

namespace ebpf {
namespace {

using NextId = int (*)(uint32_t, uint32_t*);
using ById = int (*)(uint32_t);

/// (id) -> the next larger id in use, 0 when there is none.
template <NextId next>
Napi::Value Next(const Napi::CallbackInfo& info) {
  const auto [id] = Arguments<Number<uint32_t>>(info);
  uint32_t found = 0;
  Perform(info.Env(), "bpf_get_next_id", [&, id = id] {
    const int result = next(id, &found);
    return result == -ENOENT ? 0 : result;
  });
  return Napi::Number::New(info.Env(), found);
}

/// (id) -> a descriptor of its own.
template <ById get>
Napi::Value Open(const Napi::CallbackInfo& info) {
  const auto [id] = Arguments<Number<uint32_t>>(info);
  return Napi::Number::New(info.Env(), Perform(info.Env(), "bpf_get_fd_by_id", [id = id] { return get(id); }));
}

/// bpf_obj_get_info_by_fd: (fd, info, [offset, target, offset, target, ...]). The kernel's struct is `info` as lib/
/// lays it out; the addresses of targets are written at their offsets first. Returns how many bytes the kernel knew.
Napi::Value ObjectInfo(const Napi::CallbackInfo& info) {
  const auto arguments = Arguments<Number<int>, Bytes, Options>(info);
  const Span span = std::get<1>(arguments);
  const Napi::Object pointers = std::get<2>(arguments);
  const auto count = Option<Number<uint32_t>>(pointers, "length");
  std::vector<uint32_t> offsets;
  for (uint32_t i = 0; i + 1 < count; i += 2) {
    const auto offset = Argument<Number<uint32_t>>(pointers.Get(i), "an offset");
    const Span target = Argument<Bytes>(pointers.Get(i + 1), "a target");
    const auto address = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(target.data));
    if (span.size < sizeof address || offset > span.size - sizeof address) ThrowFailure(info.Env(), ERANGE, "info");
    memcpy(span.data + offset, &address, sizeof address);
    offsets.push_back(offset);
  }
  uint32_t length = static_cast<uint32_t>(span.size);
  Perform(info.Env(), "bpf_obj_get_info_by_fd",
          [&] { return bpf_obj_get_info_by_fd(std::get<0>(arguments), span.data, &length); });
  // Addresses are nobody's business beyond this call.
  for (const uint32_t offset : offsets) memset(span.data + offset, 0, sizeof(uint64_t));
  return Napi::Number::New(info.Env(), length);
}

/// (path) -> a descriptor of whatever is pinned there.
Napi::Value OpenPin(const Napi::CallbackInfo& info) {
  const auto arguments = Arguments<Text>(info);
  const char* const path = std::get<0>(arguments).c_str();
  return Napi::Number::New(info.Env(), Perform(info.Env(), "bpf_obj_get", [&] { return bpf_obj_get(path); }));
}

void PinFd(const Napi::CallbackInfo& info) {
  const auto arguments = Arguments<Number<int>, Text>(info);
  Perform(info.Env(), "bpf_obj_pin",
          [&] { return bpf_obj_pin(std::get<0>(arguments), std::get<1>(arguments).c_str()); });
}

void DetachLink(const Napi::CallbackInfo& info) {
  const auto [fd] = Arguments<Number<int>>(info);
  Perform(info.Env(), "bpf_link_detach", [fd = fd] { return bpf_link_detach(fd); });
}

/// (programFd, targetFd, attachType)
void DetachProgram(const Napi::CallbackInfo& info) {
  const auto [program, target, type] = Arguments<Number<int>, Number<int>, Number<uint32_t>>(info);
  Perform(info.Env(), "bpf_prog_detach", [program = program, target = target, type = type] {
    return bpf_prog_detach2(program, target, static_cast<bpf_attach_type>(type));
  });
}

void UpdateLink(const Napi::CallbackInfo& info) {
  const auto [link, program] = Arguments<Number<int>, Number<int>>(info);
  Perform(info.Env(), "bpf_link_update",
          [link = link, program = program] { return bpf_link_update(link, program, nullptr); });
}

/// (fd of an iterator's link) -> a descriptor to read.
Napi::Value IterCreate(const Napi::CallbackInfo& info) {
  const auto [fd] = Arguments<Number<int>>(info);
  return Napi::Number::New(info.Env(),
                           Perform(info.Env(), "bpf_iter_create", [fd = fd] { return bpf_iter_create(fd); }));
}

/// BPF_PROG_QUERY: (target: a descriptor, or a device's index, attachType, flags) -> ids of programs, in the order they
/// run.
Napi::Value ProgramQuery(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto [target, type, flags] = Arguments<Number<int>, Number<uint32_t>, Number<uint32_t>>(info);
  std::vector<uint32_t> ids(64);
  struct bpf_prog_query_opts libbpf{};
  libbpf.sz = sizeof libbpf;
  Perform(env, "bpf_prog_query", [&, target = target, type = type, flags = flags] {
    for (;;) {
      libbpf.query_flags = flags;
      libbpf.prog_ids = ids.data();
      libbpf.prog_cnt = static_cast<uint32_t>(ids.size());
      const int result = bpf_prog_query_opts(target, static_cast<bpf_attach_type>(type), &libbpf);
      if (result != -ENOSPC) return result;
      ids.resize(std::max<size_t>(libbpf.prog_cnt, ids.size() * 2));
    }
  });
  Napi::Array result = Napi::Array::New(env);
  for (uint32_t i = 0; i < libbpf.prog_cnt; ++i) result.Set(i, Napi::Number::New(env, ids[i]));
  return result;
}

/// BPF_TASK_FD_QUERY: (pid, fd) -> { programId, kind, name, offset, address } of a perf event's or raw tracepoint's
/// program.
Napi::Value TaskFdQuery(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto [pid, fd] = Arguments<Number<int>, Number<int>>(info);
  char name[512] = "";
  uint32_t length = sizeof name, program = 0, kind = 0;
  unsigned long long offset = 0, address = 0;
  Perform(env, "bpf_task_fd_query", [&, pid = pid, fd = fd] {
    __u64 probeOffset = 0, probeAddress = 0;
    const int result = bpf_task_fd_query(pid, fd, 0, name, &length, &program, &kind, &probeOffset, &probeAddress);
    offset = probeOffset;
    address = probeAddress;
    return result;
  });
  Napi::Object result = Napi::Object::New(env);
  result.Set("programId", Napi::Number::New(env, program));
  result.Set("kind", Napi::Number::New(env, kind));
  result.Set("name", Napi::String::New(env, name));
  result.Set("offset", Napi::BigInt::New(env, static_cast<uint64_t>(offset)));
  result.Set("address", Napi::BigInt::New(env, static_cast<uint64_t>(address)));
  return result;
}

}  // namespace

void ExportInspection(Napi::Env env, Napi::Object exports) {
  Napi::Object nextId = Napi::Object::New(env);
  nextId.Set("program", Napi::Function::New<Next<bpf_prog_get_next_id>>(env, "nextProgramId"));
  nextId.Set("map", Napi::Function::New<Next<bpf_map_get_next_id>>(env, "nextMapId"));
  nextId.Set("btf", Napi::Function::New<Next<bpf_btf_get_next_id>>(env, "nextBtfId"));
  nextId.Set("link", Napi::Function::New<Next<bpf_link_get_next_id>>(env, "nextLinkId"));
  exports.Set("nextId", nextId);
  Napi::Object openById = Napi::Object::New(env);
  openById.Set("program", Napi::Function::New<Open<bpf_prog_get_fd_by_id>>(env, "openProgram"));
  openById.Set("map", Napi::Function::New<Open<bpf_map_get_fd_by_id>>(env, "openMap"));
  openById.Set("btf", Napi::Function::New<Open<bpf_btf_get_fd_by_id>>(env, "openBtf"));
  openById.Set("link", Napi::Function::New<Open<bpf_link_get_fd_by_id>>(env, "openLink"));
  exports.Set("openById", openById);
  exports.Set("objectInfo", Napi::Function::New<ObjectInfo>(env, "objectInfo"));
  exports.Set("openPin", Napi::Function::New<OpenPin>(env, "openPin"));
  exports.Set("pinFd", Napi::Function::New<PinFd>(env, "pinFd"));
  exports.Set("detachLink", Napi::Function::New<DetachLink>(env, "detachLink"));
  exports.Set("detachProgram", Napi::Function::New<DetachProgram>(env, "detachProgram"));
  exports.Set("updateLink", Napi::Function::New<UpdateLink>(env, "updateLink"));
  exports.Set("iterCreate", Napi::Function::New<IterCreate>(env, "iterCreate"));
  exports.Set("programQuery", Napi::Function::New<ProgramQuery>(env, "programQuery"));
  exports.Set("taskFdQuery", Napi::Function::New<TaskFdQuery>(env, "taskFdQuery"));
}

}  // namespace ebpf
