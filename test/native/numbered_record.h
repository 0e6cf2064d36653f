// Records whose every byte tells which record it is of, and where it belongs in it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "check.h"

inline uint8_t ByteOf(uint32_t record, size_t at) {
  return static_cast<uint8_t>(record * 31 + at * 7 + 1);
}

inline void WriteRecord(uint8_t* record, uint32_t number, size_t size) {
  for (size_t at = 0; at < size; ++at) record[at] = ByteOf(number, at);
}

inline void CheckRecord(const uint8_t* bytes, size_t size, uint32_t number) {
  for (size_t at = 0; at < size; ++at) CHECK(bytes[at] == ByteOf(number, at));
}

/// Runs of one size, and now and then a record that fits no slab of the readers here.
inline uint32_t MixedSize(uint32_t number, uint32_t seed) {
  const uint32_t mixed = (number ^ seed) * 2654435761u;
  return mixed % 64 == 0 ? 2000 : mixed % 8 == 0 ? mixed % 300 : 32u;
}
