#include "reader_lock.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace ebpf {
namespace {
/// Connections that wait to be accepted, which nobody ever does: each is one that asked who holds the lock.
constexpr int kAsked = 4096;

/// Whether a socket of this name is held by somebody who could have opened the map: the superuser, or whoever we are.
/// Names are free for all, and any user could lock out any reader otherwise.
bool HeldByPeer(const sockaddr_un& address, socklen_t size) {
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.IsOpen() || connect(socket.Get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return false;
  ucred peer{};
  socklen_t length = sizeof peer;
  // Of the process that called listen().
  if (getsockopt(socket.Get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
  return peer.uid == 0 || peer.uid == geteuid();
}
}  // namespace

int ReaderLock::Take(int mapFd) {
  bpf_map_info info{};
  uint32_t size = sizeof info;
  const int error = bpf_obj_get_info_by_fd(mapFd, &info, &size);
  if (error < 0) return error;
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // Without sockets there is no lock, and reading is still right for whoever is alone.
  if (!socket.IsOpen()) return 0;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // The first byte stays 0: an abstract name, in no file system.
  const int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "ebpf/reader-of-map/%u", info.id);
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<size_t>(length));
  if (bind(socket.Get(), reinterpret_cast<const sockaddr*>(&address), bytes) != 0)
    return errno == EADDRINUSE && HeldByPeer(address, bytes) ? -EBUSY : 0;
  if (listen(socket.Get(), kAsked) == 0) socket_ = std::move(socket);
  return 0;
}

}  // namespace ebpf
