#include "symbol_table.h"

#include <sys/mman.h>
#include <unistd.h>

#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "symbol_table_property.h"

namespace {

std::optional<ebpf::SymbolTable> Read(const std::string& file, size_t most_bytes) {
  const int fd = memfd_create("elf", MFD_CLOEXEC);
  CHECK(write(fd, file.data(), file.size()) == static_cast<ssize_t>(file.size()));
  std::optional<ebpf::SymbolTable> table = ebpf::ReadSymbolTable(fd, most_bytes);
  close(fd);
  return table;
}

}  // namespace

TEST("functions that have a size are read in the order of their addresses") {
  const auto table = Read(SmallElf(), 4096);
  CHECK(table.has_value() && !table->too_large);
  const std::vector<uint64_t> addresses = {0x1000, 0x1004, 0x1010};
  const std::vector<uint64_t> reaches = {0x1010, 0x1010, 0x1018};
  const std::vector<std::string> names = {"one", "inside", "two"};
  CHECK(table->addresses == addresses && table->reaches == reaches);
  for (size_t i = 0; i < names.size(); ++i) CHECK(names[i] == table->strings.c_str() + table->names[i]);
  CHECK(table->segments.size() == 1 && table->segments[0].address == 0x1000 && table->segments[0].offset == 0x400);
  CHECK(table->build_id == "\x01\x02");
}

TEST("tables larger than is allowed are left out") {
  const auto table = Read(SmallElf(), 100);
  CHECK(table.has_value() && table->too_large && table->addresses.empty());
  CHECK(!Read("no ELF file", 4096).has_value());
}

TEST("whatever is changed in a file, its functions are in order and their names within the strings") {
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::vector<uint8_t> changes;
    for (size_t left = 1 + random() % 6; left > 0; --left) {
      // Seldom a place that is none, which cuts the file off.
      const size_t at = random() % 620;
      const auto value = static_cast<uint8_t>(random() % 3 == 0 ? 0xff : random() % 256);
      changes.insert(changes.end(), {static_cast<uint8_t>(at), static_cast<uint8_t>(at >> 8), value});
    }
    CheckSymbolTable(changes.data(), changes.size());
  }
}
