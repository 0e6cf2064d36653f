#include "map_data.h"

#include <errno.h>
#include <sys/mman.h>

#include <cstring>

namespace ebpf {
namespace {
bool IsAligned(const void* address, size_t size) {
  return reinterpret_cast<uintptr_t>(address) % size == 0;
}
}  // namespace

LiveMapping::~LiveMapping() {
  if (data_.memory != nullptr) munmap(data_.memory, data_.size);
}

int LiveMapping::Open(const bpf_map* map, size_t size, LiveMapping& out) {
  const int fd = bpf_map__fd(map);
  if (fd < 0) return -EBADF;
  // libbpf clears the flag where the kernel is older than mmap of arrays (5.5).
  if ((bpf_map__map_flags(map) & BPF_F_MMAPABLE) == 0) return -EOPNOTSUPP;
  bool writable = (bpf_map__map_flags(map) & BPF_F_RDONLY_PROG) == 0;
  void* memory = mmap(nullptr, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED && writable && errno == EPERM) {
    // Frozen by hand.
    writable = false;
    memory = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  }
  if (memory == MAP_FAILED) return -errno;
  out.data_ = {static_cast<uint8_t*>(memory), size, writable};
  return 0;
}

void CopyFromShared(uint8_t* to, const uint8_t* from, size_t size) {
  if (size == 8 && IsAligned(from, 8)) {
    const uint64_t value = __atomic_load_n(reinterpret_cast<const uint64_t*>(from), __ATOMIC_ACQUIRE);
    std::memcpy(to, &value, sizeof value);
  } else if (size == 4 && IsAligned(from, 4)) {
    const uint32_t value = __atomic_load_n(reinterpret_cast<const uint32_t*>(from), __ATOMIC_ACQUIRE);
    std::memcpy(to, &value, sizeof value);
  } else if (size > 0) {
    std::memcpy(to, from, size);
  }
}

void CopyToShared(uint8_t* to, const uint8_t* from, size_t size) {
  if (size == 8 && IsAligned(to, 8)) {
    uint64_t value;
    std::memcpy(&value, from, sizeof value);
    __atomic_store_n(reinterpret_cast<uint64_t*>(to), value, __ATOMIC_RELEASE);
  } else if (size == 4 && IsAligned(to, 4)) {
    uint32_t value;
    std::memcpy(&value, from, sizeof value);
    __atomic_store_n(reinterpret_cast<uint32_t*>(to), value, __ATOMIC_RELEASE);
  } else if (size > 0) {
    std::memcpy(to, from, size);
  }
}

}  // namespace ebpf
