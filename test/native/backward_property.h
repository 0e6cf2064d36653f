// What must hold for records of perf buffers, whoever wrote them.
#pragma once

#include <cstddef>
#include <cstdint>

/// Reads `input` as a backward ring with any head, and each record in it: nothing is read outside of it.
void CheckBackwardRing(const uint8_t* input, size_t size);
