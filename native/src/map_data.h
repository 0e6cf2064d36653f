// The memory of a section (.bss, .data, .rodata) as a map holds it.
#pragma once

#include <bpf/libbpf.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace ebpf {

struct MapData {
  uint8_t* memory;
  size_t size;
  bool writable;
};

/// A map's memory in the kernel, mapped by us: libbpf puts its own image over it only from 1.6 on (before, only for its
/// C skeletons).
class LiveMapping {
 public:
  LiveMapping() = default;
  LiveMapping(LiveMapping&& other) noexcept : data_(std::exchange(other.data_, {})) {}
  LiveMapping& operator=(LiveMapping&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  ~LiveMapping();

  /// 0, or a negative errno. Read-only where the programs or the kernel have the map read-only.
  static int Open(const bpf_map* map, size_t size, LiveMapping& out);

  const MapData& data() const { return data_; }

 private:
  MapData data_{};
};

/// One load (acquire) of 4 or 8 aligned bytes, a plain copy of anything else.
void CopyFromShared(uint8_t* to, const uint8_t* from, size_t size);
/// One store (release) likewise.
void CopyToShared(uint8_t* to, const uint8_t* from, size_t size);

}  // namespace ebpf
