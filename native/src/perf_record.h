// A record of a perf buffer, as the kernel writes it. Needs no Node.
#pragma once

#include <linux/perf_event.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ebpf {

/// What a record says; anything that is not one of the first two is nothing to us.
struct PerfRecord {
  enum class Kind { kSample, kLost, kOther };
  Kind kind = Kind::kOther;
  /// Of a sample (PERF_SAMPLE_RAW alone). The size is a multiple of 8 less 4: the kernel pads, behind a length of 4
  /// bytes.
  const uint8_t* data = nullptr;
  size_t size = 0;
  /// How many were lost.
  uint64_t lost = 0;
};

/// Reads a record within its own length, whatever it says about itself.
inline PerfRecord ReadPerfRecord(const perf_event_header* header) {
  PerfRecord record;
  const auto* const bytes = reinterpret_cast<const uint8_t*>(header);
  size_t size = header->size;
  if (size < sizeof *header) return record;
  size -= sizeof *header;
  const uint8_t* const body = bytes + sizeof *header;
  if (header->type == PERF_RECORD_SAMPLE) {
    uint32_t length;
    if (size < sizeof length) return record;
    std::memcpy(&length, body, sizeof length);
    if (length > size - sizeof length) return record;
    record.kind = PerfRecord::Kind::kSample;
    record.data = body + sizeof length;
    record.size = length;
  } else if (header->type == PERF_RECORD_LOST) {
    // struct { header; u64 id; u64 lost; }
    if (size < 2 * sizeof record.lost) return record;
    std::memcpy(&record.lost, body + sizeof(uint64_t), sizeof record.lost);
    record.kind = PerfRecord::Kind::kLost;
  }
  return record;
}

}  // namespace ebpf
