#include "attach_unlinked.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "arguments.h"
#include "attachment.h"
#include "fd.h"
#include "netlink.h"
#include "netns.h"
#include "perform.h"
#include "tc_filter.h"

#ifndef SO_ATTACH_REUSEPORT_EBPF
#define SO_ATTACH_REUSEPORT_EBPF 52
#endif
#ifndef SO_DETACH_REUSEPORT_BPF
#define SO_DETACH_REUSEPORT_BPF 68
#endif

namespace ebpf {
namespace {

/// What std::function can hold: descriptors live as long as the last copy.
std::shared_ptr<UniqueFd> Shared(UniqueFd fd) {
  return std::make_shared<UniqueFd>(std::move(fd));
}

std::shared_ptr<UniqueFd> SharedCopy(napi_env env, int fd) {
  return Shared(UniqueFd(Perform(env, "fcntl", [&] { return UniqueFd::Duplicate(fd); })));
}

/// The namespace that the thread is in. What undoes an attachment is opened before it is made: with no descriptor left
/// for it afterwards, it would be there for ever.
std::shared_ptr<UniqueFd> CurrentNamespace(napi_env env) {
  UniqueFd netns;
  Perform(env, "open", [&] {
    netns = NetworkNamespace::Current();
    // Where /proc does not tell, the attachment is undone wherever the thread then is.
    return netns.IsOpen() || (errno != EMFILE && errno != ENFILE) ? 0 : -errno;
  });
  return Shared(std::move(netns));
}

/// `call` within a namespace; -errno when it cannot be entered. A namespace whose descriptor is not open is the current
/// one.
template <typename Call>
int Within(const UniqueFd& netns, Call&& call) {
  const NetworkNamespace inside(netns.Get());
  return inside.error() != 0 ? inside.error() : call();
}

/// Whether the program is attached there; true where the kernel does not tell.
bool IsAttached(int program, int target, bpf_attach_type type) {
  bpf_prog_info info{};
  uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(program, &info, &size) != 0) return true;
  // More than a cgroup can have.
  std::array<uint32_t, 128> ids;
  uint32_t count = ids.size();
  if (bpf_prog_query(target, type, 0, nullptr, ids.data(), &count) != 0) return true;
  return std::find(ids.begin(), ids.begin() + count, info.id) != ids.begin() + count;
}

/// bpf_prog_attach: (programFd, targetFd, attachType, flags).
Napi::Value AttachProgram(const Napi::CallbackInfo& info) {
  const auto [program, target, type, flags] =
      Arguments<Number<int>, Number<int>, Number<uint32_t>, Number<uint32_t>>(info);
  const auto attachType = static_cast<bpf_attach_type>(type);
  // Both are needed to detach, and users close theirs when they please.
  const auto heldTarget = SharedCopy(info.Env(), target);
  const auto heldProgram = SharedCopy(info.Env(), program);
  Perform(info.Env(), "bpf_prog_attach", [&, program = program, target = target, flags = flags] {
    return bpf_prog_attach(program, target, attachType, flags);
  });
  return Attachment::Make(info.Env(), {[=] {
                                         // A cgroup that has one program only lets go of it whichever is named
                                         // (kernel/bpf/cgroup.c, find_detach_entry()), and it may be another's by now.
                                         if (!IsAttached(heldProgram->Get(), heldTarget->Get(), attachType))
                                           return -ENOENT;
                                         return bpf_prog_detach2(heldProgram->Get(), heldTarget->Get(), attachType);
                                       },
                                       nullptr});
}

/// bpf_xdp_attach in the current namespace: (interfaceIndex, programFd, flags).
Napi::Value AttachXdp(const Napi::CallbackInfo& info) {
  const auto [index, program, flags] = Arguments<Number<int>, Number<int>, Number<uint32_t>>(info);
  const auto netns = CurrentNamespace(info.Env());
  const auto held = SharedCopy(info.Env(), program);
  // The mode only: a detach is no matter of what was there before.
  const uint32_t mode = flags & XDP_FLAGS_MODES;
  Perform(info.Env(), "bpf_xdp_attach", [&, index = index, program = program, flags = flags] {
    return bpf_xdp_attach(index, program, flags, nullptr);
  });
  return Attachment::Make(info.Env(), {[=, index = index] {
                                         return Within(*netns, [&] {
                                           bpf_xdp_attach_opts libbpf{};
                                           libbpf.sz = sizeof libbpf;
                                           libbpf.old_prog_fd = held->Get();
                                           // Only ours: another program that replaced it stays.
                                           return bpf_xdp_detach(index, mode | XDP_FLAGS_REPLACE, &libbpf);
                                         });
                                       },
                                       [=, index = index](int next) {
                                         return Within(*netns, [&] {
                                           bpf_xdp_attach_opts libbpf{};
                                           libbpf.sz = sizeof libbpf;
                                           libbpf.old_prog_fd = held->Get();
                                           const int copy = UniqueFd::Duplicate(next);
                                           if (copy < 0) return copy;
                                           UniqueFd owned(copy);
                                           const int result =
                                               bpf_xdp_attach(index, next, mode | XDP_FLAGS_REPLACE, &libbpf);
                                           if (result == 0) *held = std::move(owned);
                                           return result;
                                         });
                                       }});
}

/// tc on clsact, in the current namespace: (interfaceIndex, ingress, programFd, { handle, priority, replace }); handle
/// and priority 0 let the kernel choose. Returns { attachment, handle, priority }.
Napi::Value AttachTc(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto [index, ingress, program, options] = Arguments<Number<int>, Flag, Number<int>, Options>(info);
  const auto filter = std::make_shared<TcFilter>(index, ingress, Option<Number<uint32_t>>(options, "handle"),
                                                 Option<Number<uint32_t>>(options, "priority"));
  const bool replace = Option<Flag>(options, "replace");
  const auto netns = CurrentNamespace(env);
  Perform(env, "bpf_tc_attach", [&, program = program] { return filter->Attach(program, replace); });
  Napi::Object result = Napi::Object::New(env);
  result.Set("attachment",
             Attachment::Make(env, {[=] { return Within(*netns, [&] { return filter->Detach(); }); },
                                    [=](int next) { return Within(*netns, [&] { return filter->Replace(next); }); }}));
  result.Set("handle", Napi::Number::New(env, filter->handle()));
  result.Set("priority", Napi::Number::New(env, filter->priority()));
  return result;
}

/// A socket, told from whatever else its number may come to mean once its user has closed it.
struct SocketIdentity {
  int fd;
  ino_t inode;

  static int Of(int fd, SocketIdentity& out) {
    struct stat status{};
    if (::fstat(fd, &status) != 0) return -errno;
    if (!S_ISSOCK(status.st_mode)) return -ENOTSOCK;
    out = {fd, status.st_ino};
    return 0;
  }

  bool IsStillThere() const {
    struct stat status{};
    return ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) && status.st_ino == inode;
  }
};

int SetSocketOption(int fd, int option, int value) {
  return ::setsockopt(fd, SOL_SOCKET, option, &value, sizeof value) == 0 ? 0 : -errno;
}

/// That a socket has a program of this process's, of whichever thread. The kernel gives it one, replaces it without a
/// word, takes it away without asking whose it is, and tells nobody.
class SocketClaim {
 public:
  /// nullptr: another has it.
  static std::shared_ptr<SocketClaim> Take(ino_t inode, int option) {
    const std::lock_guard lock(mutex_);
    if (!taken_.emplace(inode, option).second) return nullptr;
    return std::shared_ptr<SocketClaim>(new SocketClaim(inode, option));
  }

  ~SocketClaim() {
    const std::lock_guard lock(mutex_);
    taken_.erase({inode_, option_});
  }

 private:
  SocketClaim(ino_t inode, int option) : inode_(inode), option_(option) {}

  static inline std::mutex mutex_;
  static inline std::set<std::pair<ino_t, int>> taken_;
  const ino_t inode_;
  const int option_;
};

/// (socketFd, reuseport, programFd, own). The socket is not held, unless it is handed over (`own`): a copy of its
/// descriptor would keep a connection open.
Napi::Value AttachSocket(const Napi::CallbackInfo& info) {
  const auto [fd, reuseport, program, own] = Arguments<Number<int>, Flag, Number<int>, Flag>(info);
  const int attach = reuseport ? SO_ATTACH_REUSEPORT_EBPF : SO_ATTACH_BPF;
  const int detach = reuseport ? SO_DETACH_REUSEPORT_BPF : SO_DETACH_BPF;
  SocketIdentity socket{};
  std::shared_ptr<SocketClaim> claim;
  Perform(info.Env(), "setsockopt", [&, fd = fd, program = program] {
    const int result = SocketIdentity::Of(fd, socket);
    if (result != 0) return result;
    claim = SocketClaim::Take(socket.inode, attach);
    return claim ? SetSocketOption(fd, attach, program) : -EBUSY;
  });
  const auto held = Shared(UniqueFd(own ? fd : -1));
  return Attachment::Make(
      info.Env(),
      {[=, claim = std::move(claim)] {
         if (held->IsOpen()) {
           held->Reset();
           return 0;
         }
         return socket.IsStillThere() ? SetSocketOption(socket.fd, detach, 0) : 0;
       },
       [=](int next) { return socket.IsStillThere() ? SetSocketOption(socket.fd, attach, next) : -ENOLINK; }});
}

std::vector<uint8_t> Copy(const Span& span) {
  return {span.data, span.data + span.size};
}

int Send(const std::vector<uint8_t>& message) {
  std::vector<uint8_t> answer;
  return RouteRequest(message, answer);
}

/// An attachment made by one rtnetlink message and undone by another, in the current namespace: (make, undo).
Napi::Value AttachByNetlink(const Napi::CallbackInfo& info) {
  const auto [make, undo] = Arguments<Bytes, Bytes>(info);
  const auto netns = CurrentNamespace(info.Env());
  Perform(info.Env(), "rtnetlink", [&, make = make] { return Send(Copy(make)); });
  const auto message = std::make_shared<std::vector<uint8_t>>(Copy(undo));
  return Attachment::Make(info.Env(), {[=] { return Within(*netns, [&] { return Send(*message); }); }, nullptr});
}

}  // namespace

void ExportUnlinkedAttachments(Napi::Env env, Napi::Object exports) {
  exports.Set("attachProgram", Napi::Function::New<AttachProgram>(env, "attachProgram"));
  exports.Set("attachXdp", Napi::Function::New<AttachXdp>(env, "attachXdp"));
  exports.Set("attachTc", Napi::Function::New<AttachTc>(env, "attachTc"));
  exports.Set("attachSocket", Napi::Function::New<AttachSocket>(env, "attachSocket"));
  exports.Set("attachByNetlink", Napi::Function::New<AttachByNetlink>(env, "attachByNetlink"));
}

}  // namespace ebpf
