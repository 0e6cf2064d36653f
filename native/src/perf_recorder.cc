#include "perf_recorder.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "backward_ring.h"
#include "bpf_output_event.h"
#include "perf_record.h"

namespace ebpf {

int PerfRecorder::Open(int mapFd, size_t pages, std::unique_ptr<PerfRecorder>& out) {
  std::unique_ptr<PerfRecorder> recorder(new PerfRecorder);
  const int copy = UniqueFd::Duplicate(mapFd);
  if (copy < 0) return copy;
  recorder->map_.Reset(copy);
  recorder->pageSize_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  recorder->pages_ = pages;
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return cpus;
  perf_event_attr attributes = BpfOutputEvent();
  attributes.write_backward = 1;
  for (uint32_t cpu = 0; cpu < static_cast<uint32_t>(cpus); ++cpu) {
    Buffer buffer;
    buffer.cpu = cpu;
    const long fd = syscall(SYS_perf_event_open, &attributes, -1, static_cast<int>(cpu), -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0) {
      // Possible, and not there.
      if (errno == ENODEV) continue;
      return -errno;
    }
    buffer.fd.Reset(static_cast<int>(fd));
    // Read-only: that is what tells the kernel to overwrite.
    void* const base = mmap(nullptr, (pages + 1) * recorder->pageSize_, PROT_READ, MAP_SHARED, static_cast<int>(fd), 0);
    if (base == MAP_FAILED) return -errno;
    buffer.page = static_cast<perf_event_mmap_page*>(base);
    recorder->buffers_.push_back(std::move(buffer));
    if (ioctl(static_cast<int>(fd), PERF_EVENT_IOC_ENABLE, 0) != 0) return -errno;
    const int value = static_cast<int>(fd);
    const int error = bpf_map_update_elem(copy, &cpu, &value, BPF_ANY);
    if (error != 0) return error;
  }
  out = std::move(recorder);
  return 0;
}

PerfRecorder::~PerfRecorder() {
  for (Buffer& buffer : buffers_) {
    bpf_map_delete_elem(map_.Get(), &buffer.cpu);
    munmap(buffer.page, (pages_ + 1) * pageSize_);
  }
}

int PerfRecorder::Snapshot(std::vector<Record>& out) {
  for (const Buffer& buffer : buffers_) {
    // Linux 4.7, as write_backward is.
    if (ioctl(buffer.fd.Get(), PERF_EVENT_IOC_PAUSE_OUTPUT, 1) != 0) return -errno;
    const size_t first = out.size();
    const auto* const data = reinterpret_cast<const uint8_t*>(buffer.page) + pageSize_;
    const uint64_t head = __atomic_load_n(&buffer.page->data_head, __ATOMIC_ACQUIRE);
    ReadBackwardRing(data, pages_ * pageSize_, head, [&](const uint8_t* bytes, size_t) {
      const PerfRecord record = ReadPerfRecord(reinterpret_cast<const perf_event_header*>(bytes));
      if (record.kind == PerfRecord::Kind::kSample)
        out.push_back({buffer.cpu, std::vector<uint8_t>(record.data, record.data + record.size)});
      return true;
    });
    ioctl(buffer.fd.Get(), PERF_EVENT_IOC_PAUSE_OUTPUT, 0);
    std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
  }
  return 0;
}

}  // namespace ebpf
