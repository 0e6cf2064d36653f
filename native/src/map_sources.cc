// Map handles that do not come from an object, and what the kernel knows to go with them.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>

#include "arguments.h"
#include "map.h"
#include "perform.h"

namespace ebpf {
namespace {

/// A pin or a number may be anything; the kernel would answer map calls on it with EINVAL, and calls for its info with
/// another thing's.
UniqueFd CheckIsMap(napi_env env, int fd, const char* operation) {
  UniqueFd owned(fd);
  char target[PATH_MAX];
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = readlink(path.c_str(), target, sizeof target);
  // Without /proc there is no telling.
  if (length > 0 && std::string(target, static_cast<size_t>(length)) != "anon_inode:bpf-map") {
    ThrowFailure(env, EINVAL, operation);
  }
  return owned;
}

template <typename T>
T OptionOr(const Napi::Object& options, const char* name, T fallback) {
  return Option<Optional<Number<T>>>(options, name).value_or(fallback);
}

/// Loads BTF into the kernel; the map that is made with it keeps it.
UniqueFd LoadBtf(napi_env env, const Span& types) {
  return UniqueFd(Perform(env, "bpf_btf_load", [&] { return bpf_btf_load(types.data, types.size, nullptr); }));
}

}  // namespace

Napi::Value MapFromPin(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_obj_get";
  const auto arguments = Arguments<Text>(info);
  const int fd = Perform(info.Env(), kOperation, [&] { return bpf_obj_get(std::get<0>(arguments).c_str()); });
  return Map::Make(info.Env(), CheckIsMap(info.Env(), fd, kOperation));
}

Napi::Value MapFromId(const Napi::CallbackInfo& info) {
  const auto [id] = Arguments<Number<uint32_t>>(info);
  const int fd = Perform(info.Env(), "bpf_map_get_fd_by_id", [&, id = id] { return bpf_map_get_fd_by_id(id); });
  return Map::Make(info.Env(), UniqueFd(fd));
}

Napi::Value MapFromFd(const Napi::CallbackInfo& info) {
  const auto [fd] = Arguments<Number<int>>(info);
  const int copy = Perform(info.Env(), "fcntl", [&, fd = fd] { return UniqueFd::Duplicate(fd); });
  return Map::Make(info.Env(), CheckIsMap(info.Env(), copy, "mapFromFd"));
}

Napi::Value MapCreate(const Napi::CallbackInfo& info) {
  const auto [options] = Arguments<Options>(info);
  const std::string name = Option<Text>(options, "name");
  const auto type = static_cast<bpf_map_type>(Option<Number<uint32_t>>(options, "type"));
  const auto keySize = Option<Number<uint32_t>>(options, "keySize");
  const auto valueSize = Option<Number<uint32_t>>(options, "valueSize");
  const auto maxEntries = Option<Number<uint32_t>>(options, "maxEntries");
  bpf_map_create_opts libbpf{};
  libbpf.sz = sizeof libbpf;
  libbpf.map_flags = Option<Number<uint32_t>>(options, "flags");
  libbpf.numa_node = OptionOr<uint32_t>(options, "numaNode", 0);
  libbpf.inner_map_fd = OptionOr<uint32_t>(options, "innerMapFd", 0);
  libbpf.map_extra = Option<Optional<Unsigned64>>(options, "mapExtra").value_or(0);
  UniqueFd types;
  if (const auto btf = Option<Optional<Bytes>>(options, "btf")) {
    types = LoadBtf(info.Env(), *btf);
    libbpf.btf_fd = static_cast<uint32_t>(types.Get());
    libbpf.btf_key_type_id = OptionOr<uint32_t>(options, "keyTypeId", 0);
    libbpf.btf_value_type_id = OptionOr<uint32_t>(options, "valueTypeId", 0);
  }
  const int fd = Perform(info.Env(), "bpf_map_create", [&] {
    return bpf_map_create(type, name.empty() ? nullptr : name.c_str(), keySize, valueSize, maxEntries, &libbpf);
  });
  return Map::Make(info.Env(), UniqueFd(fd));
}

Napi::Value BtfById(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto [id] = Arguments<Number<uint32_t>>(info);
  struct Free {
    void operator()(btf* types) const { btf__free(types); }
  };
  const std::unique_ptr<btf, Free> types(
      Perform(env, "btf__load_from_kernel_by_id", [id = id] { return btf__load_from_kernel_by_id(id); }));
  uint32_t size = 0;
  const void* const data = btf__raw_data(types.get(), &size);
  if (data == nullptr) ThrowFailure(env, ENOMEM, "btf__raw_data");
  Napi::Uint8Array copy = Napi::Uint8Array::New(env, size);
  std::memcpy(copy.Data(), data, size);
  return copy;
}

Napi::Value OpenProcess(const Napi::CallbackInfo& info) {
  const auto [pid] = Arguments<Number<int>>(info);
  return Napi::Number::New(info.Env(), Perform(info.Env(), "pidfd_open", [pid = pid] {
                             const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
                             return fd < 0 ? -errno : fd;
                           }));
}

}  // namespace ebpf
