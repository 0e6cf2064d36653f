#include "reader_lock.h"

#include <bpf/bpf.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace ebpf {

int ReaderLock::Take(int mapFd) {
  bpf_map_info info{};
  uint32_t size = sizeof info;
  const int error = bpf_obj_get_info_by_fd(mapFd, &info, &size);
  if (error < 0) return error;
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  // Without sockets there is no lock, and reading is still right for whoever is alone.
  if (!socket.IsOpen()) return 0;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // The first byte stays 0: an abstract name, in no file system.
  const int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "ebpf/reader-of-map/%u", info.id);
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<size_t>(length));
  if (bind(socket.Get(), reinterpret_cast<const sockaddr*>(&address), bytes) != 0)
    return errno == EADDRINUSE ? -EBUSY : 0;
  socket_ = std::move(socket);
  return 0;
}

}  // namespace ebpf
