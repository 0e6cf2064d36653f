// NativeObject: an opened, later loaded, bpf_object.
#pragma once

#include <memory>

#include "environment.h"
#include "object_handle.h"

namespace ebpf {

class Object final : public Held<Object> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit Object(const Napi::CallbackInfo& info);

  void CloseWithEnvironment() noexcept override;

 private:
  Napi::Value Btf(const Napi::CallbackInfo& info);
  Napi::Value Load(const Napi::CallbackInfo& info);
  Napi::Value LoadSync(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
  void Free();

  std::shared_ptr<ObjectHandle> handle_;
};

}  // namespace ebpf
