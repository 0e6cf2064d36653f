#include "link.h"

#include <bpf/bpf.h>

#include "arguments.h"
#include "perform.h"
#include "property.h"

namespace ebpf {

Napi::Function Link::Define(Napi::Env env) {
  return DefineClass(env, "Link",
                     {
                         InstanceAccessor<&Link::Fd>("fd"),
                         InstanceAccessor<&Link::PinPath>("pinPath"),
                         InstanceMethod<&Link::Detach>("detach"),
                         InstanceMethod<&Link::Pin>("pin"),
                         InstanceMethod<&Link::Unpin>("unpin"),
                         InstanceMethod<&Link::UpdateProgram>("updateProgram"),
                         InstanceMethod<&Link::Close>("close"),
                     });
}

Napi::Value Link::Make(Napi::Env env, OwnedLink link) {
  return Environment::Of(env).link.New({Napi::External<OwnedLink>::New(env, &link)});
}

Napi::Value Link::FromPin(const Napi::CallbackInfo& info) {
  const auto arguments = Arguments<Text>(info);
  const char* const path = std::get<0>(arguments).c_str();
  return Make(info.Env(), OwnedLink(Perform(info.Env(), "bpf_link__open", [&] { return bpf_link__open(path); })));
}

Link::Link(const Napi::CallbackInfo& info) : Held<Link>(info) {
  if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "links come from attaching a program");
  link_ = std::move(*info[0].As<Napi::External<OwnedLink>>().Data());
  Hold(Environment::Of(info.Env()).links);
}

bpf_link* Link::Use(napi_env env, const char* operation) const {
  if (!link_) ThrowFailure(env, EBADF, operation);
  return link_.get();
}

Napi::Value Link::Fd(const Napi::CallbackInfo& info) {
  return ToValue(info.Env(), bpf_link__fd(Use(info.Env(), "bpf_link__fd")));
}

Napi::Value Link::PinPath(const Napi::CallbackInfo& info) {
  return ToValue(info.Env(), bpf_link__pin_path(Use(info.Env(), "bpf_link__pin_path")));
}

void Link::Detach(const Napi::CallbackInfo& info) {
  bpf_link* const link = Use(info.Env(), "bpf_link__detach");
  Perform(info.Env(), "bpf_link__detach", [&] { return bpf_link__detach(link); });
}

void Link::Pin(const Napi::CallbackInfo& info) {
  const auto arguments = Arguments<Text>(info);
  bpf_link* const link = Use(info.Env(), "bpf_link__pin");
  Perform(info.Env(), "bpf_link__pin", [&] { return bpf_link__pin(link, std::get<0>(arguments).c_str()); });
}

void Link::Unpin(const Napi::CallbackInfo& info) {
  bpf_link* const link = Use(info.Env(), "bpf_link__unpin");
  Perform(info.Env(), "bpf_link__unpin", [&] { return bpf_link__unpin(link); });
}

void Link::UpdateProgram(const Napi::CallbackInfo& info) {
  // What bpf_link__update_program does, which wants the program as libbpf's handle.
  const auto [program] = Arguments<Number<int>>(info);
  const int link = bpf_link__fd(Use(info.Env(), "bpf_link_update"));
  Perform(info.Env(), "bpf_link_update", [&, program = program] { return bpf_link_update(link, program, nullptr); });
}

void Link::Close(const Napi::CallbackInfo&) {
  CloseWithEnvironment();
}

void Link::CloseWithEnvironment() noexcept {
  link_.reset();
  LetGo();
}

}  // namespace ebpf
