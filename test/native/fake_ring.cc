#include "fake_ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "check.h"

namespace {
size_t ringBytes = 0;

size_t PageSize() {
  return static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

int Info(void* info) {
  auto* const map = static_cast<bpf_map_info*>(info);
  std::memset(map, 0, sizeof *map);
  map->type = BPF_MAP_TYPE_RINGBUF;
  map->max_entries = static_cast<uint32_t>(ringBytes);
  return 0;
}
}  // namespace

extern "C" {
int __real_epoll_ctl(int, int, int, epoll_event*);
void* __real_mmap64(void*, size_t, int, int, int, off64_t);

int __wrap_bpf_map_get_info_by_fd(int, bpf_map_info* info, uint32_t*) {
  return Info(info);
}
int __wrap_bpf_obj_get_info_by_fd(int, void* info, uint32_t*) {
  return Info(info);
}
/// A file cannot be waited for, a ring can.
int __wrap_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  const int result = __real_epoll_ctl(epoll, operation, fd, event);
  return result != 0 && errno == EPERM ? 0 : result;
}
/// The kernel shows the data twice in a row, so that records at the end need no wrapping.
void* __wrap_mmap64(void* address, size_t length, int protection, int flags, int fd, off64_t offset) {
  if (offset == 0 || length != PageSize() + 2 * ringBytes)
    return __real_mmap64(address, length, protection, flags, fd, offset);
  auto* const base =
      static_cast<uint8_t*>(__real_mmap64(nullptr, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  CHECK(base != MAP_FAILED);
  const size_t first = PageSize() + ringBytes;
  CHECK(__real_mmap64(base, first, protection, flags | MAP_FIXED, fd, offset) == base);
  const auto again = static_cast<off64_t>(2 * PageSize());
  CHECK(__real_mmap64(base + first, ringBytes, protection, flags | MAP_FIXED, fd, again) == base + first);
  return base;
}
}

namespace {
uint64_t Load(const uint8_t* page) {
  return __atomic_load_n(reinterpret_cast<const unsigned long*>(page), __ATOMIC_ACQUIRE);
}
void Store(uint8_t* page, uint64_t position) {
  __atomic_store_n(reinterpret_cast<unsigned long*>(page), position, __ATOMIC_RELEASE);
}
}  // namespace

FakeRing::FakeRing(size_t bytes) : bytes_(bytes) {
  ringBytes = bytes;
  fd_ = memfd_create("ring", MFD_CLOEXEC);
  CHECK(fd_ >= 0 && ftruncate(fd_, static_cast<off_t>(2 * PageSize() + bytes)) == 0);
  // The producer's own view: positions, and the data twice.
  const size_t all = 2 * PageSize() + 2 * bytes;
  void* const base = mmap(nullptr, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(base != MAP_FAILED);
  pages_ = static_cast<uint8_t*>(base);
  const int access = PROT_READ | PROT_WRITE;
  CHECK(mmap(pages_, 2 * PageSize() + bytes, access, MAP_SHARED | MAP_FIXED, fd_, 0) == base);
  uint8_t* const again = pages_ + 2 * PageSize() + bytes;
  CHECK(mmap(again, bytes, access, MAP_SHARED | MAP_FIXED, fd_, static_cast<off_t>(2 * PageSize())) == again);
}

FakeRing::~FakeRing() {
  munmap(pages_, 2 * PageSize() + 2 * bytes_);
  close(fd_);
}

uint8_t* FakeRing::Reserve(uint32_t size) {
  const uint64_t produced = Load(pages_ + PageSize());
  const uint64_t taken = (uint64_t{size} + 8 + 7) & ~uint64_t{7};
  if (produced + taken - Load(pages_) > bytes_ - 1) return nullptr;
  uint8_t* const header = pages_ + 2 * PageSize() + (produced & (bytes_ - 1));
  // Before the position says that it is there.
  __atomic_store_n(reinterpret_cast<uint32_t*>(header), size | kBusy, __ATOMIC_RELAXED);
  Store(pages_ + PageSize(), produced + taken);
  return header + 8;
}

void FakeRing::Commit(uint8_t* record, bool discard) {
  auto* const header = reinterpret_cast<uint32_t*>(record - 8);
  const uint32_t size = *header & ~kBusy;
  __atomic_store_n(header, discard ? size | kDiscarded : size, __ATOMIC_RELEASE);
}

void FakeRing::SetProduced(uint64_t position) {
  Store(pages_ + PageSize(), position);
}

void FakeRing::SetConsumed(uint64_t position) {
  Store(pages_, position);
}

void FakeRing::Scribble(size_t offset, uint32_t word) {
  std::memcpy(pages_ + 2 * PageSize() + (offset % bytes_ & ~size_t{3}), &word, sizeof word);
}
