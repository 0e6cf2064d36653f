// NativeLink: an owned bpf_link.
#pragma once

#include <bpf/libbpf.h>

#include <memory>

#include "environment.h"

namespace ebpf {

struct LinkDestroyer {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
using OwnedLink = std::unique_ptr<bpf_link, LinkDestroyer>;

class Link final : public Held<Link> {
 public:
  static Napi::Function Define(Napi::Env env);
  static Napi::Value Make(Napi::Env env, OwnedLink link);
  static Napi::Value FromPin(const Napi::CallbackInfo& info);
  explicit Link(const Napi::CallbackInfo& info);

  void CloseWithEnvironment() noexcept override;

 private:
  bpf_link* Use(napi_env env, const char* operation) const;
  Napi::Value Fd(const Napi::CallbackInfo& info);
  void Detach(const Napi::CallbackInfo& info);
  void Pin(const Napi::CallbackInfo& info);
  void Unpin(const Napi::CallbackInfo& info);
  Napi::Value PinPath(const Napi::CallbackInfo& info);
  void UpdateProgram(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  OwnedLink link_;
};

}  // namespace ebpf
