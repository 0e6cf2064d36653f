// One BPF user ring buffer: libbpf's producer over it, and a descriptor that tells when a program made room. Needs no
// Node.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <memory>

#include "fd.h"

namespace ebpf {

class UserRing {
 public:
  /// 0, or a negative errno, and then `out` is untouched. The ring keeps its own descriptor: `mapFd` may be closed
  /// after.
  static int Open(int mapFd, std::unique_ptr<UserRing>& out);
  ~UserRing();
  UserRing(const UserRing&) = delete;
  UserRing& operator=(const UserRing&) = delete;

  /// Room for a record, to be submitted or discarded; null and a negative errno (-ENOSPC: full for now, -E2BIG: more
  /// than the ring holds).
  void* Reserve(uint32_t size, int& error);
  void Submit(void* record) { user_ring_buffer__submit(buffer_, record); }
  void Discard(void* record) { user_ring_buffer__discard(buffer_, record); }

  /// Readable once a program has drained anything since Acknowledge(). The ring's own descriptor is writable for as
  /// long as it is not full to the last byte, which would wake for ever those who need more than what is left.
  int DrainedFd() const { return epoll_.Get(); }
  void Acknowledge();

  /// Bytes written and not yet drained, headers included.
  uint64_t Pending() const;

 private:
  UserRing() = default;

  UniqueFd map_;
  UniqueFd epoll_;
  struct user_ring_buffer* buffer_ = nullptr;
  /// The ring's two position pages, mapped read-only: libbpf does not show them.
  void* positions_ = nullptr;
  size_t pageSize_ = 0;
};

}  // namespace ebpf
