#include "netns.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

namespace ebpf {

UniqueFd NetworkNamespace::Current() {
  return UniqueFd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
}

NetworkNamespace::NetworkNamespace(int fd) {
  if (fd < 0) return;
  home_ = Current();
  if (!home_.IsOpen() || ::setns(fd, CLONE_NEWNET) != 0) {
    error_ = -errno;
    home_.Reset();
  }
}

NetworkNamespace::~NetworkNamespace() {
  if (!home_.IsOpen() || ::setns(home_.Get(), CLONE_NEWNET) == 0) return;
  ::perror("ebpf: cannot return to the network namespace");
  ::abort();
}

}  // namespace ebpf
