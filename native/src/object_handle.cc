#include "object_handle.h"

#include <errno.h>

#include "failure.h"

namespace ebpf {

bpf_object* ObjectHandle::Use(napi_env env, const char* operation) const {
  if (closed_) ThrowFailure(env, EBADF, operation);
  if (loading_) ThrowFailure(env, EBUSY, operation);
  return object_;
}

void ObjectHandle::EndLoad(int result, void* arenaData) {
  loading_ = false;
  loaded_ = result == 0;
  arenaData_ = loaded_ ? arenaData : nullptr;
  if (closed_) Free();
}

void ObjectHandle::Close() {
  closed_ = true;
  if (!loading_) Free();
}

void ObjectHandle::Free() {
  live_.clear();
  bpf_object__close(object_);
  object_ = nullptr;
}

MapData ObjectHandle::Data(napi_env env, bpf_map* map, const char* operation) {
  Use(env, operation);
  size_t size = 0;
  void* const image = const_cast<void*>(static_cast<const void*>(bpf_map__initial_value(map, &size)));
  if (image == nullptr) ThrowFailure(env, ENOENT, operation);
  if (!loaded_) return {static_cast<uint8_t*>(image), size, true};
  // A struct_ops map has no mapping; its image is what was registered and changes no more.
  if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS) return {static_cast<uint8_t*>(image), size, false};
  auto found = live_.find(map);
  if (found == live_.end()) {
    LiveMapping mapping;
    const int result = LiveMapping::Open(map, size, mapping);
    if (result < 0) ThrowFailure(env, -result, "mmap");
    found = live_.emplace(map, std::move(mapping)).first;
  }
  return found->second.data();
}

}  // namespace ebpf
