// What must hold for a ring that libbpf reads into batches.
#pragma once

#include <cstddef>
#include <cstdint>

/// A producer and a reader take turns, as `input` says: reserved, submitted and discarded records of all sizes, other
/// buffers at any time. Each record submitted arrives whole, once and in order. Then positions and headers that no
/// kernel writes: nothing is read or written outside of the ring and the buffers.
void CheckRing(const uint8_t* input, size_t size);

/// The same with a producer on a thread of its own that never rests, for so many records.
void CheckConcurrentRing(uint32_t records, uint32_t seed);
