// What must hold for a batch whatever records come, in whatever buffers: each record arrives whole, once, and in order.
#pragma once

#include <cstddef>
#include <cstdint>

/// Reads `input` as a series of steps, and aborts where the batch breaks its word.
void CheckBatch(const uint8_t* input, size_t size);
