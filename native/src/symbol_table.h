// The functions of an ELF file, for names of addresses. Needs no Node, so that a fuzzer can drive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ebpf {

/// A part of the file that is code in memory.
struct CodeSegment {
  uint64_t address;
  uint64_t offset;
  uint64_t size;
};

/// Defined functions that have a size, from .symtab and .dynsym, by their addresses.
struct SymbolTable {
  std::vector<uint64_t> addresses;
  std::vector<uint64_t> sizes;
  /// How far the functions up to and with this one go, the furthest of them: they may lie within one another.
  std::vector<uint64_t> reaches;
  /// Offsets in `strings`.
  std::vector<uint32_t> names;
  /// STB_*.
  std::vector<uint8_t> bindings;
  /// Ends in a NUL.
  std::string strings;
  std::vector<CodeSegment> segments;
  std::string build_id;
  /// Tables were left out: they have more bytes than were allowed.
  bool too_large = false;
};

/// Nothing when it is no ELF file. Whatever is damaged is left out. The file is read and not mapped: who maps a file
/// that another truncates dies of it.
std::optional<SymbolTable> ReadSymbolTable(int fd, size_t most_bytes);

}  // namespace ebpf
