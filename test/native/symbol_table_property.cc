#include "symbol_table_property.h"

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

#include "symbol_table.h"

namespace {

constexpr size_t kMostBytes = 1 << 20;

template <typename T>
void Append(std::string& file, const T& value) {
  file.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

Elf64_Sym Function(uint32_t name, uint64_t address, uint64_t size) {
  return {name, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, address, size};
}

void Require(bool holds) {
  if (!holds) abort();
}

}  // namespace

std::string SmallElf() {
  const std::string strings("\0one\0inside\0two\0", 16);
  std::string symbols;
  for (const Elf64_Sym& symbol : {Elf64_Sym{}, Function(12, 0x1010, 8), Function(1, 0x1000, 16), Function(5, 0x1004, 4),
                                  Function(1, 0x2000, 0)}) {
    Append(symbols, symbol);
  }
  std::string note;
  Append(note, Elf64_Nhdr{4, 2, NT_GNU_BUILD_ID});
  note += std::string("GNU\0\x01\x02\0\0", 8);

  std::string file(sizeof(Elf64_Ehdr), '\0');
  Append(file, Elf64_Phdr{PT_LOAD, PF_R | PF_X, 0x400, 0x1000, 0x1000, 0x100, 0x100, 0x1000});
  std::vector<Elf64_Shdr> sections(1);
  const auto add = [&](uint32_t type, const std::string& bytes, uint32_t link, uint64_t each) {
    sections.push_back({0, type, 0, 0, file.size(), bytes.size(), link, 0, 4, each});
    file += bytes;
    file.resize((file.size() + 7) & ~size_t{7});
  };
  add(SHT_SYMTAB, symbols, 2, sizeof(Elf64_Sym));
  add(SHT_STRTAB, strings, 0, 0);
  add(SHT_NOTE, note, 0, 0);
  Elf64_Ehdr header{};
  memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_DYN;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof(header);
  header.e_shoff = file.size();
  header.e_ehsize = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = sections.size();
  header.e_shstrndx = 2;
  memcpy(file.data(), &header, sizeof(header));
  for (const Elf64_Shdr& section : sections) Append(file, section);
  return file;
}

void CheckSymbolTable(const uint8_t* input, size_t size) {
  std::string file = SmallElf();
  if (size >= SELFMAG && memcmp(input, ELFMAG, SELFMAG) == 0) {
    file.assign(reinterpret_cast<const char*>(input), size);
  } else {
    // Each change: where, and a byte more than that is a new length.
    for (; size >= 3; input += 3, size -= 3) {
      const size_t at = input[0] | input[1] << 8;
      if (at < file.size()) {
        file[at] = static_cast<char>(input[2]);
      } else {
        file.resize(at % 2048 + 1);
      }
    }
  }
  const int fd = memfd_create("elf", MFD_CLOEXEC);
  Require(fd >= 0 && write(fd, file.data(), file.size()) == static_cast<ssize_t>(file.size()));
  const std::optional<ebpf::SymbolTable> table = ebpf::ReadSymbolTable(fd, kMostBytes);
  close(fd);
  if (!table) return;
  const size_t count = table->addresses.size();
  Require(table->sizes.size() == count && table->reaches.size() == count && table->names.size() == count &&
          table->bindings.size() == count);
  Require(!table->strings.empty() && table->strings.back() == '\0' && table->strings.size() <= kMostBytes + 64);
  uint64_t before = 0;
  uint64_t reach = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint64_t end = table->addresses[i] + table->sizes[i];
    Require(table->addresses[i] >= before && end > table->addresses[i] && table->names[i] < table->strings.size());
    if (end > reach) reach = end;
    Require(table->reaches[i] == reach);
    before = table->addresses[i];
  }
}
