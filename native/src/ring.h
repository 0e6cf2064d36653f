// One BPF ring buffer: libbpf's reader over it and a batch that it fills. Needs no Node.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <memory>

#include "batch.h"
#include "fd.h"

namespace ebpf {

class Ring {
 public:
  /// 0, or a negative errno, and then `out` is untouched. The ring keeps its own descriptor: `mapFd` may be closed
  /// after.
  static int Open(int mapFd, std::unique_ptr<Ring>& out);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  Batch& batch() { return batch_; }

  /// Fills one batch from what is in the ring: at most one slab. 0, or a negative errno.
  int Fill();

  /// Readable while the ring holds anything, a record reserved and not yet committed included.
  int PollFd() const { return map_.Get(); }

  /// Bytes written and not read, headers included.
  uint64_t Available() const;
  /// Position up to which the ring has been read; it only grows.
  uint64_t Consumed() const;

 private:
  Ring() = default;

  UniqueFd map_;
  struct ring_buffer* buffer_ = nullptr;
  /// The ring's two position pages, mapped read-only: libbpf shows them only from 1.3 on.
  void* positions_ = nullptr;
  size_t pageSize_ = 0;
  Batch batch_;
};

}  // namespace ebpf
