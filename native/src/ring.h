// One BPF ring buffer: libbpf's reader over it and a batch that it fills. Needs no Node.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <memory>

#include "fd.h"
#include "record_source.h"

namespace ebpf {

class Ring final : public RecordSource {
 public:
  /// 0, or a negative errno, and then `out` is untouched. The ring keeps its own descriptor: `mapFd` may be closed
  /// after.
  static int Open(int mapFd, std::unique_ptr<RecordSource>& out);
  ~Ring() override;

  int Fill() override;

  /// Readable while the ring holds anything, a record reserved and not yet committed included.
  int PollFd() const override { return map_.Get(); }

  uint64_t Available() const override;
  /// Position up to which the ring has been read.
  uint64_t Consumed() const override;

 private:
  Ring() = default;
  static int OnSample(void* self, void* record, size_t size);

  UniqueFd map_;
  /// Bytes of the largest record.
  size_t largest_ = 0;
  struct ring_buffer* buffer_ = nullptr;
  /// The ring's two position pages, mapped read-only: libbpf shows them only from 1.3 on.
  void* positions_ = nullptr;
  size_t pageSize_ = 0;
};

}  // namespace ebpf
