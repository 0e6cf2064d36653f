#include "ring.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sys/mman.h>

namespace ebpf {
namespace {
uint64_t LoadPosition(const void* page) {
  // The kernel's positions are unsigned long, and the writer releases what it acquires here.
  return __atomic_load_n(static_cast<const unsigned long*>(page), __ATOMIC_ACQUIRE);
}
}  // namespace

int Ring::OnSample(void* context, void* record, size_t size) {
  auto* const self = static_cast<Ring*>(context);
  // The kernel writes no such length. But whoever has the map can write the position to read from, and then anything is
  // taken for a header; what is read must not lie behind the mapping.
  if (size > self->largest_) return -EBADMSG;
  return self->batch_.Append(record, size);
}

int Ring::Open(int mapFd, std::unique_ptr<RecordSource>& out) {
  std::unique_ptr<Ring> ring(new Ring);
  const int copy = UniqueFd::Duplicate(mapFd);
  if (copy < 0) return copy;
  ring->map_.Reset(copy);
  bpf_map_info info{};
  uint32_t infoSize = sizeof info;
  const int error = bpf_obj_get_info_by_fd(copy, &info, &infoSize);
  if (error < 0) return error;
  // Behind its header; the mapping shows the ring twice.
  ring->largest_ = info.max_entries - 8;
  ring->buffer_ = ring_buffer__new(copy, OnSample, ring.get(), nullptr);
  if (ring->buffer_ == nullptr) return -errno;
  ring->pageSize_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  // Consumer position, then producer position, each on a page of its own (kernel/bpf/ringbuf.c: struct bpf_ringbuf).
  void* const positions = mmap(nullptr, 2 * ring->pageSize_, PROT_READ, MAP_SHARED, copy, 0);
  if (positions == MAP_FAILED) return -errno;
  ring->positions_ = positions;
  out = std::move(ring);
  return 0;
}

Ring::~Ring() {
  if (positions_ != nullptr) munmap(positions_, 2 * pageSize_);
  ring_buffer__free(buffer_);
}

int Ring::Fill() {
  if (!batch_.Begin()) return 0;
  const uint64_t dropped = batch_.dropped();
  const int result = ring_buffer__consume(buffer_);
  if (batch_.dropped() != dropped) return -ENOMEM;
  // A full batch stops libbpf with the callback's own value; anything else negative is libbpf's.
  return result < 0 && result != Batch::kFull ? result : 0;
}

uint64_t Ring::Consumed() const {
  return LoadPosition(positions_);
}

uint64_t Ring::Available() const {
  const uint64_t consumed = Consumed();
  return LoadPosition(static_cast<const char*>(positions_) + pageSize_) - consumed;
}

}  // namespace ebpf
