// NativeMapDefinition: a bpf_map as its object declares it.
#pragma once

#include <bpf/libbpf.h>
#include <napi.h>

#include <memory>

#include "object_handle.h"

namespace ebpf {

class MapDefinition final : public Napi::ObjectWrap<MapDefinition> {
 public:
  static Napi::Function Define(Napi::Env env);
  static Napi::Value Make(Napi::Env env, const std::shared_ptr<ObjectHandle>& handle, bpf_map* map);
  explicit MapDefinition(const Napi::CallbackInfo& info);

 private:
  struct Source {
    const std::shared_ptr<ObjectHandle>& handle;
    bpf_map* map;
  };

  /// Throws when the object is closed or being loaded.
  bpf_map* Use(napi_env env, const char* operation) const;
  /// The same for a setter, which load ends (EBUSY).
  bpf_map* UseBeforeLoad(napi_env env, const char* operation) const;

  template <auto Get>
  Napi::Value Read(const Napi::CallbackInfo& info);
  template <auto Set, const char* operation>
  void Write(const Napi::CallbackInfo& info, const Napi::Value& value);
  void SetValueSize(const Napi::CallbackInfo& info, const Napi::Value& value);
  void SetPinPath(const Napi::CallbackInfo& info, const Napi::Value& value);

  Napi::Value Fd(const Napi::CallbackInfo& info);
  void Reuse(const Napi::CallbackInfo& info);
  void SetInnerMap(const Napi::CallbackInfo& info);
  Napi::Value DataAddress(const Napi::CallbackInfo& info);
  Napi::Value DataSize(const Napi::CallbackInfo& info);
  void ReadData(const Napi::CallbackInfo& info);
  void WriteData(const Napi::CallbackInfo& info);
  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value AttachStructOps(const Napi::CallbackInfo& info);
  Napi::Value RegisterStructOps(const Napi::CallbackInfo& info);
  void ReplaceStructOps(const Napi::CallbackInfo& info);

  std::shared_ptr<ObjectHandle> handle_;
  bpf_map* map_ = nullptr;
};

}  // namespace ebpf
