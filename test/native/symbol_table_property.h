// What must hold for the functions of an ELF file whatever is in it: they are in order, and their names within the
// strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

/// A small ELF file with functions "one" (0x1000, 16 bytes), "inside" (0x1004, 4) and "two" (0x1010, 8), and the build
/// id "\x01\x02".
std::string SmallElf();

/// Reads `input` as changes to the small file, or as a whole file, and aborts where the table breaks its word.
void CheckSymbolTable(const uint8_t* input, size_t size);
