#include "user_ring.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

namespace ebpf {

int UserRing::Open(int mapFd, std::unique_ptr<UserRing>& out) {
  std::unique_ptr<UserRing> ring(new UserRing);
  const int copy = UniqueFd::Duplicate(mapFd);
  if (copy < 0) return copy;
  ring->map_.Reset(copy);
  ring->buffer_ = user_ring_buffer__new(copy, nullptr);
  if (ring->buffer_ == nullptr) return -errno;
  ring->pageSize_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  // Consumer position, then producer position, each on a page of its own (kernel/bpf/ringbuf.c: struct bpf_ringbuf).
  void* const positions = mmap(nullptr, 2 * ring->pageSize_, PROT_READ, MAP_SHARED, copy, 0);
  if (positions == MAP_FAILED) return -errno;
  ring->positions_ = positions;
  ring->epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  if (!ring->epoll_.IsOpen()) return -errno;
  // Edges: bpf_user_ringbuf_drain() wakes after each drain that was not told otherwise.
  epoll_event event{};
  event.events = EPOLLOUT | EPOLLET;
  if (epoll_ctl(ring->epoll_.Get(), EPOLL_CTL_ADD, copy, &event) != 0) return -errno;
  out = std::move(ring);
  return 0;
}

UserRing::~UserRing() {
  if (positions_ != nullptr) munmap(positions_, 2 * pageSize_);
  user_ring_buffer__free(buffer_);
}

void* UserRing::Reserve(uint32_t size, int& error) {
  void* const record = user_ring_buffer__reserve(buffer_, size);
  error = record == nullptr ? -errno : 0;
  return record;
}

void UserRing::Acknowledge() {
  epoll_event event;
  epoll_wait(epoll_.Get(), &event, 1, 0);
}

uint64_t UserRing::Pending() const {
  const auto load = [](const void* page) {
    return __atomic_load_n(static_cast<const unsigned long*>(page), __ATOMIC_ACQUIRE);
  };
  const uint64_t consumed = load(positions_);
  return load(static_cast<const char*>(positions_) + pageSize_) - consumed;
}

}  // namespace ebpf
