// A BPF_MAP_TYPE_PERF_EVENT_ARRAY whose buffers overwrite what is oldest: one per CPU, looked at when asked. Needs no
// Node.
#pragma once

#include <linux/perf_event.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "fd.h"

namespace ebpf {

class PerfRecorder {
 public:
  /// 0, or a negative errno, and then `out` is untouched. `pages` of each CPU: a power of two. Keeps descriptors of its
  /// own.
  static int Open(int mapFd, size_t pages, std::unique_ptr<PerfRecorder>& out);
  ~PerfRecorder();
  PerfRecorder(const PerfRecorder&) = delete;
  PerfRecorder& operator=(const PerfRecorder&) = delete;

  struct Record {
    uint32_t cpu;
    std::vector<uint8_t> bytes;
  };
  /// What is there now, of each CPU the oldest first. While one CPU's is read, nothing is written on it.
  int Snapshot(std::vector<Record>& out);

 private:
  struct Buffer {
    uint32_t cpu = 0;
    UniqueFd fd;
    perf_event_mmap_page* page = nullptr;
  };
  PerfRecorder() = default;

  UniqueFd map_;
  size_t pageSize_ = 0;
  size_t pages_ = 0;
  std::vector<Buffer> buffers_;
};

}  // namespace ebpf
