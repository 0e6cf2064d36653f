// NativeLink: an owned bpf_link.
#pragma once

#include <bpf/libbpf.h>

#include <memory>
#include <string>

#include "environment.h"
#include "fd.h"

namespace ebpf {

struct LinkDestroyer {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
using OwnedLink = std::unique_ptr<bpf_link, LinkDestroyer>;

/// A link by libbpf's handle, or, where libbpf's functions do not take what is asked for, by its descriptor alone.
class Link final : public Held<Link> {
 public:
  static Napi::Function Define(Napi::Env env);
  static Napi::Value Make(Napi::Env env, OwnedLink link);
  static Napi::Value Make(Napi::Env env, UniqueFd link);
  static Napi::Value FromPin(const Napi::CallbackInfo& info);
  static Napi::Value FromFd(const Napi::CallbackInfo& info);
  static Napi::Value Create(const Napi::CallbackInfo& info);
  explicit Link(const Napi::CallbackInfo& info);

  void CloseWithEnvironment() noexcept override;
  /// Null when it is closed, or has no handle of libbpf's.
  bpf_link* handle() const { return link_.get(); }

 private:
  /// Throws when it is closed.
  void MustBeOpen(napi_env env, const char* operation) const;
  int Descriptor() const;
  Napi::Value Fd(const Napi::CallbackInfo& info);
  void Detach(const Napi::CallbackInfo& info);
  void Pin(const Napi::CallbackInfo& info);
  void Unpin(const Napi::CallbackInfo& info);
  Napi::Value PinPath(const Napi::CallbackInfo& info);
  void UpdateProgram(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  OwnedLink link_;
  UniqueFd fd_;
  std::string pinPath_;
};

}  // namespace ebpf
