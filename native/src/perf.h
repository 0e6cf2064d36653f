// A BPF_MAP_TYPE_PERF_EVENT_ARRAY: one perf buffer per CPU, read by libbpf into batches of one CPU each. Needs no Node.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <memory>

#include "fd.h"
#include "record_source.h"

namespace ebpf {

struct PerfSettings {
  /// Pages of each CPU's buffer, a power of two.
  size_t pages = 16;
  /// Wakes the reader at so many records ...
  uint32_t wakeupEvents = 1;
  /// ... or, when not 0, at so many bytes in place of that.
  uint32_t wakeupBytes = 0;
};

class Perf final : public RecordSource {
 public:
  /// 0, or a negative errno, and then `out` is untouched. Keeps its own descriptor: `mapFd` may be closed after.
  static int Open(int mapFd, const PerfSettings& settings, std::unique_ptr<RecordSource>& out);
  ~Perf() override;

  /// From the next CPU that has anything; CPUs take turns.
  int Fill() override;
  int PollFd() const override;
  /// perf_poll() clears what it returns (kernel/events/core.c), so that asking whether to wait makes the answer go
  /// away.
  bool StaysReadable() const override { return false; }
  uint64_t Available() const override;
  uint64_t Consumed() const override { return consumed_; }
  int Cpu() const override { return cpu_; }
  uint64_t Lost() const override { return lost_; }

 private:
  Perf() = default;
  static bpf_perf_event_ret OnEvent(void* self, int cpu, perf_event_header* header);

  UniqueFd map_;
  struct perf_buffer* buffer_ = nullptr;
  size_t pageSize_ = 0;
  size_t count_ = 0;
  size_t next_ = 0;
  int cpu_ = -1;
  uint64_t lost_ = 0;
  /// Records read, of any kind.
  uint64_t consumed_ = 0;
};

}  // namespace ebpf
