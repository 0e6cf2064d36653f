#include "map_definition.h"

#include <bpf/bpf.h>

#include <cstring>
#include <vector>

#include "arguments.h"
#include "attachment.h"
#include "environment.h"
#include "libbpf_features.h"
#include "link.h"
#include "load_object.h"
#include "map.h"
#include "perform.h"
#include "property.h"

namespace ebpf {
namespace {
constexpr char kSetType[] = "bpf_map__set_type";
constexpr char kSetKeySize[] = "bpf_map__set_key_size";
constexpr char kSetValueSize[] = "bpf_map__set_value_size";
constexpr char kSetMaxEntries[] = "bpf_map__set_max_entries";
constexpr char kSetFlags[] = "bpf_map__set_map_flags";
constexpr char kSetNumaNode[] = "bpf_map__set_numa_node";
constexpr char kSetExtra[] = "bpf_map__set_map_extra";
constexpr char kSetAutocreate[] = "bpf_map__set_autocreate";
constexpr char kSetPinPath[] = "bpf_map__set_pin_path";
constexpr char kReuse[] = "bpf_map__reuse_fd";
constexpr char kSetInnerMap[] = "bpf_map__set_inner_map_fd";
constexpr char kData[] = "bpf_map__initial_value";

/// The part of `data` that a copy of `size` bytes at `offset` touches.
uint8_t* Within(napi_env env, const MapData& data, uint32_t offset, size_t size) {
  if (offset > data.size || size > data.size - offset) ThrowFailure(env, ERANGE, kData);
  return data.memory + offset;
}
}  // namespace

Napi::Function MapDefinition::Define(Napi::Env env) {
  using M = MapDefinition;
  return DefineClass(
      env, "MapDefinition",
      {
          InstanceAccessor<&M::Read<bpf_map__name>>("name"),
          InstanceAccessor<&M::Read<bpf_map__is_internal>>("isInternal"),
          InstanceAccessor<&M::Read<bpf_map__type>, &M::Write<bpf_map__set_type, kSetType>>("type"),
          InstanceAccessor<&M::Read<bpf_map__key_size>, &M::Write<bpf_map__set_key_size, kSetKeySize>>("keySize"),
          InstanceAccessor<&M::Read<bpf_map__value_size>, &M::SetValueSize>("valueSize"),
          InstanceAccessor<&M::Read<bpf_map__max_entries>, &M::Write<bpf_map__set_max_entries, kSetMaxEntries>>(
              "maxEntries"),
          InstanceAccessor<&M::Read<bpf_map__map_flags>, &M::Write<bpf_map__set_map_flags, kSetFlags>>("flags"),
          InstanceAccessor<&M::Read<bpf_map__numa_node>, &M::Write<bpf_map__set_numa_node, kSetNumaNode>>("numaNode"),
          InstanceAccessor<&M::Read<bpf_map__map_extra>, &M::Write<bpf_map__set_map_extra, kSetExtra>>("mapExtra"),
          InstanceAccessor<&M::Read<bpf_map__autocreate>, &M::Write<bpf_map__set_autocreate, kSetAutocreate>>(
              "autocreate"),
          InstanceAccessor<&M::Read<bpf_map__pin_path>, &M::SetPinPath>("pinPath"),
          InstanceAccessor<&M::Read<bpf_map__btf_key_type_id>>("keyTypeId"),
          InstanceAccessor<&M::Read<bpf_map__btf_value_type_id>>("valueTypeId"),
          InstanceAccessor<&M::DataSize>("dataSize"),
          InstanceMethod<&M::DataAddress>("dataAddress"),
          InstanceMethod<&M::Fd>("fd"),
          InstanceMethod<&M::Reuse>("reuse"),
          InstanceMethod<&M::SetInnerMap>("setInnerMap"),
          InstanceMethod<&M::ReadData>("readData"),
          InstanceMethod<&M::WriteData>("writeData"),
          InstanceMethod<&M::Open>("open"),
          InstanceMethod<&M::AttachStructOps>("attachStructOps"),
          InstanceMethod<&M::RegisterStructOps>("registerStructOps"),
          InstanceMethod<&M::ReplaceStructOps>("replaceStructOps"),
      });
}

Napi::Value MapDefinition::Make(Napi::Env env, const std::shared_ptr<ObjectHandle>& handle, bpf_map* map) {
  Source source{handle, map};
  return Environment::Of(env).mapDefinition.New({Napi::External<Source>::New(env, &source)});
}

MapDefinition::MapDefinition(const Napi::CallbackInfo& info) : Napi::ObjectWrap<MapDefinition>(info) {
  if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "map definitions come from an object");
  const Source& source = *info[0].As<Napi::External<Source>>().Data();
  handle_ = source.handle;
  map_ = source.map;
}

bpf_map* MapDefinition::Use(napi_env env, const char* operation) const {
  handle_->Use(env, operation);
  return map_;
}

bpf_map* MapDefinition::UseBeforeLoad(napi_env env, const char* operation) const {
  bpf_map* const map = Use(env, operation);
  // libbpf checks this for some of the setters only.
  if (handle_->loaded()) ThrowFailure(env, EBUSY, operation);
  return map;
}

template <auto Get>
Napi::Value MapDefinition::Read(const Napi::CallbackInfo& info) {
  return ToValue(info.Env(), Get(Use(info.Env(), "bpf_map")));
}

template <auto Set, const char* operation>
void MapDefinition::Write(const Napi::CallbackInfo& info, const Napi::Value& value) {
  bpf_map* const map = UseBeforeLoad(info.Env(), operation);
  const auto checked = FromValue<decltype(SetterValue(Set))>(value);
  Perform(info.Env(), operation, [&] { return Set(map, checked); });
}

void MapDefinition::SetValueSize(const Napi::CallbackInfo& info, const Napi::Value& value) {
  bpf_map* const map = UseBeforeLoad(info.Env(), kSetValueSize);
  const uint32_t size = FromValue<uint32_t>(value);
#if !EBPF_HAS_DATA_RESIZE
  size_t dataSize = 0;
  if (bpf_map__initial_value(map, &dataSize) != nullptr && size != dataSize) {
    ThrowFailure(info.Env(), EOPNOTSUPP, kSetValueSize);
  }
#endif
  Perform(info.Env(), kSetValueSize, [&] { return bpf_map__set_value_size(map, size); });
}

void MapDefinition::SetPinPath(const Napi::CallbackInfo& info, const Napi::Value& value) {
  bpf_map* const map = UseBeforeLoad(info.Env(), kSetPinPath);
  const auto path = Argument<Optional<Text>>(value, "pinPath");
  Perform(info.Env(), kSetPinPath, [&] { return bpf_map__set_pin_path(map, path ? path->c_str() : nullptr); });
}

Napi::Value MapDefinition::Fd(const Napi::CallbackInfo& info) {
  const int fd = bpf_map__fd(Use(info.Env(), "bpf_map__fd"));
  return Napi::Number::New(info.Env(), fd < 0 ? -1 : fd);
}

void MapDefinition::Reuse(const Napi::CallbackInfo& info) {
  const auto [fd] = Arguments<Number<int>>(info);
  bpf_map* const map = UseBeforeLoad(info.Env(), kReuse);
  Perform(info.Env(), kReuse, [&, fd = fd] { return bpf_map__reuse_fd(map, fd); });
}

void MapDefinition::SetInnerMap(const Napi::CallbackInfo& info) {
  const auto [fd] = Arguments<Number<int>>(info);
  bpf_map* const map = UseBeforeLoad(info.Env(), kSetInnerMap);
  Perform(info.Env(), kSetInnerMap, [&, fd = fd] { return bpf_map__set_inner_map_fd(map, fd); });
}

Napi::Value MapDefinition::DataSize(const Napi::CallbackInfo& info) {
  size_t size = 0;
  const bool has = bpf_map__initial_value(Use(info.Env(), kData), &size) != nullptr;
  return Napi::Number::New(info.Env(), has ? static_cast<double>(size) : 0);
}

Napi::Value MapDefinition::DataAddress(const Napi::CallbackInfo& info) {
  size_t size = 0;
  bpf_map* const map = Use(info.Env(), kData);
  const void* data = bpf_map__initial_value(map, &size);
  if (static_cast<int>(bpf_map__type(map)) == kArenaMap) {
    // That is its start, or where it is not mapped the image of its variables. They may be at its end, and none of them
    // then just behind it (libbpf 1.7 on kernels that can address them there).
    const void* const variables = handle_->arenaData();
    if (variables == nullptr || size > 0) data = variables;
  }
  return Napi::BigInt::New(info.Env(), reinterpret_cast<uint64_t>(data));
}

void MapDefinition::ReadData(const Napi::CallbackInfo& info) {
  const auto [offset, target] = Arguments<Number<uint32_t>, Bytes>(info);
  bpf_map* const map = Use(info.Env(), kData);
  if (handle_->loaded() && bpf_map__type(map) == BPF_MAP_TYPE_ARRAY &&
      (bpf_map__map_flags(map) & BPF_F_MMAPABLE) == 0) {
    // A kernel older than 5.5 has no memory to show, where libbpf clears the flag: a copy by a system call.
    std::vector<uint8_t> value(bpf_map__value_size(map));
    const uint32_t first = 0;
    Perform(info.Env(), "bpf_map_lookup_elem",
            [&] { return bpf_map_lookup_elem(bpf_map__fd(map), &first, value.data()); });
    const MapData copy{value.data(), value.size(), false};
    std::memcpy(target.data, Within(info.Env(), copy, offset, target.size), target.size);
    return;
  }
  const MapData data = handle_->Data(info.Env(), map_, kData);
  CopyFromShared(target.data, Within(info.Env(), data, offset, target.size), target.size);
}

void MapDefinition::WriteData(const Napi::CallbackInfo& info) {
  const auto [offset, source] = Arguments<Number<uint32_t>, Bytes>(info);
  const MapData data = handle_->Data(info.Env(), map_, kData);
  uint8_t* const to = Within(info.Env(), data, offset, source.size);
  if (!data.writable) ThrowFailure(info.Env(), EPERM, kData);
  CopyToShared(to, source.data, source.size);
}

Napi::Value MapDefinition::Open(const Napi::CallbackInfo& info) {
  const int fd = bpf_map__fd(Use(info.Env(), "bpf_map__fd"));
  if (fd < 0) ThrowFailure(info.Env(), EBADF, "bpf_map__fd");
  return Map::Make(info.Env(), UniqueFd(Perform(info.Env(), "fcntl", [&] { return UniqueFd::Duplicate(fd); })));
}

Napi::Value MapDefinition::AttachStructOps(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_map__attach_struct_ops";
  bpf_map* const map = Use(info.Env(), kOperation);
  return Link::Make(info.Env(),
                    OwnedLink(Perform(info.Env(), kOperation, [&] { return bpf_map__attach_struct_ops(map); })));
}

/// The same for one that the kernel keeps registered though nobody holds it (without BPF_F_LINK).
Napi::Value MapDefinition::RegisterStructOps(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_map__attach_struct_ops";
  bpf_map* const map = Use(info.Env(), kOperation);
  const auto link =
      std::make_shared<OwnedLink>(Perform(info.Env(), kOperation, [&] { return bpf_map__attach_struct_ops(map); }));
  return Attachment::Make(info.Env(), {[link] { return bpf_link__destroy(link->release()); }, nullptr});
}

/// Takes the place of another at its link, which AttachStructOps made: libbpf looks into what it keeps beside the link.
void MapDefinition::ReplaceStructOps(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_link__update_map";
  bpf_map* const map = Use(info.Env(), kOperation);
  const auto [object] = Arguments<Options>(info);
  bpf_link* const link = Link::Unwrap(object)->handle();
  if (link == nullptr) ThrowFailure(info.Env(), EBADF, kOperation);
#if EBPF_HAS_LINK_UPDATE_MAP
  Perform(info.Env(), kOperation, [&] { return bpf_link__update_map(link, map); });
#else
  (void)map;
  ThrowFailure(info.Env(), EOPNOTSUPP, kOperation);
#endif
}

}  // namespace ebpf
