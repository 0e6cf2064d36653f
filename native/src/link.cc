#include "link.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include "arguments.h"
#include "libbpf_features.h"
#include "perform.h"
#include "property.h"

namespace ebpf {
namespace {

/// What a link is made of: one of the two.
struct Parts {
  OwnedLink link;
  UniqueFd fd;
};

Napi::Value MakeOf(Napi::Env env, Parts parts) {
  return Environment::Of(env).link.New({Napi::External<Parts>::New(env, &parts)});
}

}  // namespace

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
  return MakeOf(env, {std::move(link), UniqueFd()});
}

Napi::Value Link::Make(Napi::Env env, UniqueFd link) {
  return MakeOf(env, {nullptr, std::move(link)});
}

Napi::Value Link::FromPin(const Napi::CallbackInfo& info) {
  const auto arguments = Arguments<Text>(info);
  const char* const path = std::get<0>(arguments).c_str();
  return Make(info.Env(), OwnedLink(Perform(info.Env(), "bpf_link__open", [&] { return bpf_link__open(path); })));
}

/// Takes the descriptor.
Napi::Value Link::FromFd(const Napi::CallbackInfo& info) {
  const auto [fd] = Arguments<Number<int>>(info);
  return Make(info.Env(), UniqueFd(fd));
}

/// bpf_link_create: (programFd, target, attachType, { flags, anchor, relativeFd, relativeId, revision }).
Napi::Value Link::Create(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_link_create";
  const Napi::Env env = info.Env();
  const auto [program, target, type, options] = Arguments<Number<int>, Number<int>, Number<uint32_t>, Options>(info);
  bpf_link_create_opts libbpf{};
  libbpf.sz = sizeof libbpf;
  libbpf.flags = Option<Number<uint32_t>>(options, "flags");
  const auto anchor = Option<Optional<Text>>(options, "anchor");
  if (anchor) {
    const auto fd = Option<Number<uint32_t>>(options, "relativeFd");
    const auto id = Option<Number<uint32_t>>(options, "relativeId");
    const auto revision = Option<Unsigned64>(options, "revision");
    const auto set = [&](auto& at) {
      at.relative_fd = fd;
      at.relative_id = id;
      at.expected_revision = revision;
    };
    (void)set;
    bool known = false;
#if EBPF_HAS_TCX
    if (*anchor == "tcx") set(libbpf.tcx), known = true;
    if (*anchor == "netkit") set(libbpf.netkit), known = true;
#endif
#if EBPF_HAS_CGROUP_OPTS
    if (*anchor == "cgroup") set(libbpf.cgroup), known = true;
#endif
    if (!known) ThrowFailure(env, EOPNOTSUPP, kOperation);
  }
  const int fd = Perform(env, kOperation, [&, program = program, target = target, type = type] {
    return bpf_link_create(program, target, static_cast<bpf_attach_type>(type), &libbpf);
  });
  return Make(env, UniqueFd(fd));
}

Link::Link(const Napi::CallbackInfo& info) : Held<Link>(info) {
  if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "links come from attaching a program");
  Parts& parts = *info[0].As<Napi::External<Parts>>().Data();
  link_ = std::move(parts.link);
  fd_ = std::move(parts.fd);
  Hold(Environment::Of(info.Env()).links);
}

void Link::MustBeOpen(napi_env env, const char* operation) const {
  if (!link_ && !fd_.IsOpen()) ThrowFailure(env, EBADF, operation);
}

int Link::Descriptor() const {
  return link_ ? bpf_link__fd(link_.get()) : fd_.Get();
}

Napi::Value Link::Fd(const Napi::CallbackInfo& info) {
  MustBeOpen(info.Env(), "bpf_link__fd");
  return ToValue(info.Env(), Descriptor());
}

Napi::Value Link::PinPath(const Napi::CallbackInfo& info) {
  MustBeOpen(info.Env(), "bpf_link__pin_path");
  if (link_) return ToValue(info.Env(), bpf_link__pin_path(link_.get()));
  return ToValue(info.Env(), pinPath_.empty() ? nullptr : pinPath_.c_str());
}

void Link::Detach(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_link_detach";
  MustBeOpen(info.Env(), kOperation);
  Perform(info.Env(), kOperation, [&] { return bpf_link_detach(Descriptor()); });
}

void Link::Pin(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_link__pin";
  MustBeOpen(info.Env(), kOperation);
  const auto arguments = Arguments<Text>(info);
  const std::string& path = std::get<0>(arguments);
  Perform(info.Env(), kOperation, [&] {
    if (link_) return bpf_link__pin(link_.get(), path.c_str());
    // As libbpf: a link has one pin that it knows of.
    return pinPath_.empty() ? bpf_obj_pin(fd_.Get(), path.c_str()) : -EBUSY;
  });
  if (!link_) pinPath_ = path;
}

void Link::Unpin(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_link__unpin";
  MustBeOpen(info.Env(), kOperation);
  Perform(info.Env(), kOperation, [&] {
    if (link_) return bpf_link__unpin(link_.get());
    if (pinPath_.empty()) return -EINVAL;
    return ::unlink(pinPath_.c_str()) == 0 ? 0 : -errno;
  });
  if (!link_) pinPath_.clear();
}

void Link::UpdateProgram(const Napi::CallbackInfo& info) {
  // What bpf_link__update_program does, which wants the program as libbpf's handle.
  constexpr char kOperation[] = "bpf_link_update";
  MustBeOpen(info.Env(), kOperation);
  const auto [program] = Arguments<Number<int>>(info);
  Perform(info.Env(), kOperation, [&, program = program] { return bpf_link_update(Descriptor(), program, nullptr); });
}

void Link::Close(const Napi::CallbackInfo&) {
  CloseWithEnvironment();
}

void Link::CloseWithEnvironment() noexcept {
  link_.reset();
  fd_.Reset();
  LetGo();
}

}  // namespace ebpf
