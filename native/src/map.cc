#include "map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "arguments.h"
#include "environment.h"
#include "perform.h"

namespace ebpf {
namespace {

/// What one lookup may write, or one update read.
size_t RoomForValue(const bpf_map_info& info) {
  switch (info.type) {
    case BPF_MAP_TYPE_PERCPU_HASH:
    case BPF_MAP_TYPE_PERCPU_ARRAY:
    case BPF_MAP_TYPE_LRU_PERCPU_HASH:
    case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
      return (size_t{info.value_size} + 7) / 8 * 8 * static_cast<size_t>(libbpf_num_possible_cpus());
    default:
      return info.value_size;
  }
}

bpf_map_info ReadInfo(napi_env env, int fd) {
  bpf_map_info info{};
  uint32_t size = sizeof info;
  Perform(env, "bpf_obj_get_info_by_fd", [&] { return bpf_obj_get_info_by_fd(fd, &info, &size); });
  return info;
}

template <typename T>
void Set(Napi::Object& object, const char* name, T value) {
  object.Set(name, Napi::Number::New(object.Env(), static_cast<double>(value)));
}

/// The receiver and the first argument of a hot method.
struct HotCall {
  Map* map = nullptr;
  napi_value argument = nullptr;
};

HotCall Receive(napi_env env, napi_callback_info info) {
  HotCall call;
  size_t count = 1;
  napi_value self;
  void* map = nullptr;
  napi_get_cb_info(env, info, &count, &call.argument, &self, nullptr);
  napi_unwrap(env, self, &map);
  call.map = static_cast<Map*>(map);
  return call;
}

uint32_t Flags(napi_env env, napi_value argument) {
  uint32_t flags = 0;
  napi_get_value_uint32(env, argument, &flags);
  return flags;
}

napi_value Result(napi_env env, int result) {
  napi_value value = nullptr;
  napi_create_int32(env, result, &value);
  return value;
}

napi_value Closed(napi_env env, const char* operation) {
  napi_throw(env, MakeFailure(env, EBADF, operation));
  return nullptr;
}

}  // namespace

Napi::Function Map::Define(Napi::Env env) {
  const auto hot = [](const char* name, napi_callback method) {
    napi_property_descriptor descriptor{};
    descriptor.utf8name = name;
    descriptor.method = method;
    descriptor.attributes = napi_default_method;
    return PropertyDescriptor(descriptor);
  };
  return DefineClass(env, "Map",
                     {
                         hot("lookup", &Map::Lookup),
                         hot("update", &Map::Update),
                         hot("delete", &Map::Delete),
                         hot("lookupAndDelete", &Map::LookupAndDelete),
                         hot("nextKey", &Map::NextKey),
                         InstanceAccessor<&Map::Fd>("fd"),
                         InstanceMethod<&Map::Info>("info"),
                         InstanceMethod<&Map::Bind>("bind"),
                         InstanceMethod<&Map::LookupMany>("lookupMany"),
                         InstanceMethod<&Map::LookupBatch>("lookupBatch"),
                         InstanceMethod<&Map::UpdateBatch>("updateBatch"),
                         InstanceMethod<&Map::DeleteBatch>("deleteBatch"),
                         InstanceMethod<&Map::MapArena>("mapArena"),
                         InstanceMethod<&Map::ReadMemory>("readMemory"),
                         InstanceMethod<&Map::WriteMemory>("writeMemory"),
                         InstanceMethod<&Map::Freeze>("freeze"),
                         InstanceMethod<&Map::Pin>("pin"),
                         InstanceMethod<&Map::Close>("close"),
                     });
}

Napi::Value Map::Make(Napi::Env env, UniqueFd fd) {
  return Environment::Of(env).map.New({Napi::External<UniqueFd>::New(env, &fd)});
}

Map::Map(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Map>(info) {
  if (!info[0].IsExternal())
    throw Napi::TypeError::New(info.Env(), "maps come from an object, a pin, an id or mapCreate");
  fd_ = std::move(*info[0].As<Napi::External<UniqueFd>>().Data());
}

napi_value Map::Lookup(napi_env env, napi_callback_info info) {
  const auto [map, flags] = Receive(env, info);
  if (!map->fd_.IsOpen()) return Closed(env, "bpf_map_lookup_elem_flags");
  return Result(env, bpf_map_lookup_elem_flags(map->fd_.Get(), map->key_, map->value_, Flags(env, flags)));
}

napi_value Map::Update(napi_env env, napi_callback_info info) {
  const auto [map, flags] = Receive(env, info);
  if (!map->fd_.IsOpen()) return Closed(env, "bpf_map_update_elem");
  return Result(env, bpf_map_update_elem(map->fd_.Get(), map->key_, map->value_, Flags(env, flags)));
}

napi_value Map::Delete(napi_env env, napi_callback_info info) {
  const auto [map, none] = Receive(env, info);
  if (!map->fd_.IsOpen()) return Closed(env, "bpf_map_delete_elem");
  return Result(env, bpf_map_delete_elem(map->fd_.Get(), map->key_));
}

napi_value Map::LookupAndDelete(napi_env env, napi_callback_info info) {
  const auto [map, flags] = Receive(env, info);
  if (!map->fd_.IsOpen()) return Closed(env, "bpf_map_lookup_and_delete_elem_flags");
  return Result(env, bpf_map_lookup_and_delete_elem_flags(map->fd_.Get(), map->key_, map->value_, Flags(env, flags)));
}

napi_value Map::NextKey(napi_env env, napi_callback_info info) {
  const auto [map, argument] = Receive(env, info);
  if (!map->fd_.IsOpen()) return Closed(env, "bpf_map_get_next_key");
  bool first = false;
  napi_get_value_bool(env, argument, &first);
  return Result(env, bpf_map_get_next_key(map->fd_.Get(), first ? nullptr : map->key_, map->nextKey_));
}

int Map::Use(napi_env env, const char* operation) const {
  if (!fd_.IsOpen()) ThrowFailure(env, EBADF, operation);
  return fd_.Get();
}

Napi::Value Map::Fd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), fd_.Get());
}

Napi::Value Map::Info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bpf_map_info raw = ReadInfo(env, Use(env, "bpf_obj_get_info_by_fd"));
  Napi::Object result = Napi::Object::New(env);
  Set(result, "id", raw.id);
  Set(result, "type", raw.type);
  Set(result, "keySize", raw.key_size);
  Set(result, "valueSize", raw.value_size);
  Set(result, "maxEntries", raw.max_entries);
  Set(result, "flags", raw.map_flags);
  result.Set("name", Napi::String::New(env, raw.name));
  result.Set("mapExtra", Napi::BigInt::New(env, static_cast<uint64_t>(raw.map_extra)));
  Set(result, "btfId", raw.btf_id);
  Set(result, "btfKeyTypeId", raw.btf_key_type_id);
  Set(result, "btfValueTypeId", raw.btf_value_type_id);
  return result;
}

void Map::Bind(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto [key, nextKey, value] = Arguments<Memory, Memory, Memory>(info);
  const bpf_map_info raw = ReadInfo(env, Use(env, "bpf_obj_get_info_by_fd"));
  // The kernel copies by the map's sizes, whatever the buffers have room for.
  if (key.ByteLength() < raw.key_size || nextKey.ByteLength() < raw.key_size ||
      value.ByteLength() < RoomForValue(raw)) {
    throw Napi::RangeError::New(env, "a buffer is smaller than the map's keys or values");
  }
  keySize_ = raw.key_size;
  valueRoom_ = RoomForValue(raw);
  keyBuffer_ = Napi::Persistent(key);
  nextKeyBuffer_ = Napi::Persistent(nextKey);
  valueBuffer_ = Napi::Persistent(value);
  // Queues, stacks and bloom filters have no key, and the kernel refuses to be given one.
  key_ = raw.key_size == 0 ? nullptr : key.Data();
  nextKey_ = nextKey.Data();
  value_ = value.Data();
}

void Map::Freeze(const Napi::CallbackInfo& info) {
  const int fd = Use(info.Env(), "bpf_map_freeze");
  Perform(info.Env(), "bpf_map_freeze", [&] { return bpf_map_freeze(fd); });
}

void Map::Pin(const Napi::CallbackInfo& info) {
  const auto arguments = Arguments<Text>(info);
  const int fd = Use(info.Env(), "bpf_obj_pin");
  Perform(info.Env(), "bpf_obj_pin", [&] { return bpf_obj_pin(fd, std::get<0>(arguments).c_str()); });
}

void Map::Close(const Napi::CallbackInfo&) {
  arena_.Close();
  fd_.Reset();
}

}  // namespace ebpf
