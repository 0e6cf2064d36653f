#include "perf.h"

#include <errno.h>

#include "bpf_output_event.h"
#include "perf_record.h"

namespace ebpf {

bpf_perf_event_ret Perf::OnEvent(void* context, int cpu, perf_event_header* header) {
  auto* const self = static_cast<Perf*>(context);
  const PerfRecord record = ReadPerfRecord(header);
  ++self->consumed_;
  self->cpu_ = cpu;
  if (record.kind == PerfRecord::Kind::kLost) self->lost_ += record.lost;
  if (record.kind != PerfRecord::Kind::kSample) return LIBBPF_PERF_EVENT_CONT;
  // DONE stops reading this buffer, and the record it is returned for counts as read.
  return self->batch_.Append(record.data, record.size) == Batch::kMore ? LIBBPF_PERF_EVENT_CONT
                                                                       : LIBBPF_PERF_EVENT_DONE;
}

int Perf::Open(int mapFd, const PerfSettings& settings, std::unique_ptr<RecordSource>& out) {
  std::unique_ptr<Perf> perf(new Perf);
  const int copy = UniqueFd::Duplicate(mapFd);
  if (copy < 0) return copy;
  perf->map_.Reset(copy);
  perf_event_attr attributes = BpfOutputEvent();
  attributes.watermark = settings.wakeupBytes > 0;
  if (attributes.watermark) {
    attributes.wakeup_watermark = settings.wakeupBytes;
  } else {
    attributes.wakeup_events = settings.wakeupEvents;
  }
  perf->buffer_ = perf_buffer__new_raw(copy, settings.pages, &attributes, &Perf::OnEvent, perf.get(), nullptr);
  if (perf->buffer_ == nullptr) return -errno;
  perf->count_ = perf_buffer__buffer_cnt(perf->buffer_);
  perf->pageSize_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  out = std::move(perf);
  return 0;
}

Perf::~Perf() {
  perf_buffer__free(buffer_);
}

int Perf::Fill() {
  lost_ = 0;
  // A record held back comes from the buffer that next_ still points to.
  if (!batch_.Begin()) return 0;
  for (size_t i = 0; i < count_; ++i) {
    const uint64_t dropped = batch_.dropped();
    const uint64_t before = consumed_;
    const int result = perf_buffer__consume_buffer(buffer_, next_);
    if (batch_.dropped() != dropped) return -ENOMEM;
    // ENOENT: libbpf has no buffer at this place.
    if (result < 0 && result != -ENOENT) return result;
    // Its record comes first in the next batch, which is of this CPU for that. Else on to the others, however much is
    // left here.
    if (batch_.holds()) return 0;
    next_ = (next_ + 1) % count_;
    if (consumed_ != before || batch_.count() > 0) return 0;
  }
  return 0;
}

int Perf::PollFd() const {
  return perf_buffer__epoll_fd(buffer_);
}

uint64_t Perf::Available() const {
  uint64_t sum = 0;
  for (size_t i = 0; i < count_; ++i) {
    void* base = nullptr;
    size_t size = 0;
    if (perf_buffer__buffer(buffer_, static_cast<int>(i), &base, &size) != 0) continue;
    const auto* const page = static_cast<const perf_event_mmap_page*>(base);
    sum += __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE) - page->data_tail;
  }
  return sum;
}

}  // namespace ebpf
