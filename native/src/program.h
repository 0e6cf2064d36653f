// NativeProgram: a bpf_program of an object.
#pragma once

#include <bpf/libbpf.h>
#include <napi.h>

#include <memory>

#include "object_handle.h"

namespace ebpf {

class Program final : public Napi::ObjectWrap<Program> {
 public:
  static Napi::Function Define(Napi::Env env);
  static Napi::Value Make(Napi::Env env, const std::shared_ptr<ObjectHandle>& handle, bpf_program* program);
  explicit Program(const Napi::CallbackInfo& info);

 private:
  struct Source {
    const std::shared_ptr<ObjectHandle>& handle;
    bpf_program* program;
  };

  /// Throws when the object is closed or being loaded.
  bpf_program* Use(napi_env env, const char* operation) const;

  template <auto Get>
  Napi::Value Read(const Napi::CallbackInfo& info);
  template <auto Set, const char* operation>
  void Write(const Napi::CallbackInfo& info, const Napi::Value& value);
  Napi::Value IsOptional(const Napi::CallbackInfo& info);
  void SetAutoattach(const Napi::CallbackInfo& info, const Napi::Value& value);
  void SetAttachTarget(const Napi::CallbackInfo& info);
  Napi::Value Instructions(const Napi::CallbackInfo& info);
  Napi::Value Fd(const Napi::CallbackInfo& info);

  // program_attach.cc
  Napi::Value Attach(const Napi::CallbackInfo& info);
  Napi::Value AttachKprobe(const Napi::CallbackInfo& info);
  Napi::Value AttachTracepoint(const Napi::CallbackInfo& info);
  Napi::Value AttachRawTracepoint(const Napi::CallbackInfo& info);
  Napi::Value AttachTrace(const Napi::CallbackInfo& info);
  Napi::Value AttachCgroup(const Napi::CallbackInfo& info);
  // program_attach_multi.cc
  Napi::Value AttachKprobeMulti(const Napi::CallbackInfo& info);
  Napi::Value AttachKsyscall(const Napi::CallbackInfo& info);
  Napi::Value AttachUprobeMulti(const Napi::CallbackInfo& info);
  // program_attach_user.cc
  Napi::Value AttachUprobe(const Napi::CallbackInfo& info);
  Napi::Value AttachUsdt(const Napi::CallbackInfo& info);
  Napi::Value AttachPerfEvent(const Napi::CallbackInfo& info);
  // program_attach_net.cc
  Napi::Value AttachNetfilter(const Napi::CallbackInfo& info);
  Napi::Value AttachNetns(const Napi::CallbackInfo& info);
  // program_attach_trace.cc
  Napi::Value AttachFreplace(const Napi::CallbackInfo& info);
  Napi::Value AttachLsm(const Napi::CallbackInfo& info);
  Napi::Value AttachIter(const Napi::CallbackInfo& info);

  std::shared_ptr<ObjectHandle> handle_;
  bpf_program* program_ = nullptr;
  /// As the object was opened: libbpf strips the `?` of its section, and only its autoload tells.
  bool optional_ = false;
};

}  // namespace ebpf
