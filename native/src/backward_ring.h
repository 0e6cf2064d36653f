// Reads a perf buffer that the kernel writes backwards (perf_event_attr.write_backward): it is never full, and keeps
// what is newest. Needs no Node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ebpf {

/// The newest records in `data` (a power of two of bytes), the newest first, up to one that is overwritten in part.
/// `head` is the kernel's data_head, which only decreases, from 0. `each` gets a whole record, header included, and may
/// return false to stop.
template <typename Each>
void ReadBackwardRing(const uint8_t* data, size_t size, uint64_t head, Each&& each) {
  // perf_event_header: u32 type, u16 misc, u16 size; a multiple of 8 bytes, so it never wraps.
  constexpr size_t kHeader = 8;
  const size_t mask = size - 1;
  // From 0 down to head, as much has been written; no more than the buffer is left of it.
  const uint64_t written = 0 - head;
  const uint64_t there = written < size ? written : size;
  std::vector<uint64_t> whole;
  for (uint64_t at = 0; at + kHeader <= there;) {
    const size_t offset = static_cast<size_t>(head + at) & mask;
    // The kernel aligns; a position that is not is no kernel's.
    if (offset % 8 != 0) return;
    const auto length = static_cast<size_t>(data[offset + 6] | data[offset + 7] << 8);
    if (length < kHeader || length % 8 != 0 || length > there - at) return;
    whole.resize(length / 8);
    auto* const bytes = reinterpret_cast<uint8_t*>(whole.data());
    for (size_t i = 0; i < length; ++i) bytes[i] = data[(offset + i) & mask];
    if (!each(static_cast<const uint8_t*>(bytes), length)) return;
    at += length;
  }
}

}  // namespace ebpf
