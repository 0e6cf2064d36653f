#include "symbol_table.h"

#include <gelf.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "elf_handle.h"

namespace ebpf {
namespace {

struct Symbol {
  uint64_t address;
  uint64_t size;
  uint32_t name;
  uint8_t binding;
};

/// The section's data, if it is in the file as it is; `left` is what may still be read.
const Elf_Data* DataOf(Elf_Scn* section, const GElf_Shdr& header, size_t& left, SymbolTable& table) {
  if (header.sh_type == SHT_NOBITS || (header.sh_flags & SHF_COMPRESSED) != 0 || header.sh_size == 0) return nullptr;
  if (header.sh_size > left) {
    table.too_large = true;
    return nullptr;
  }
  Elf_Data* const data = elf_getdata(section, nullptr);
  if (data == nullptr || data->d_buf == nullptr) return nullptr;
  left -= header.sh_size;
  return data;
}

void ReadSymbols(Elf* elf, Elf_Scn* section, const GElf_Shdr& header, size_t& left, std::vector<Symbol>& symbols,
                 SymbolTable& table) {
  Elf_Scn* const strings = elf_getscn(elf, header.sh_link);
  GElf_Shdr strings_header;
  if (strings == nullptr || gelf_getshdr(strings, &strings_header) == nullptr || strings_header.sh_type != SHT_STRTAB) {
    return;
  }
  const Elf_Data* const data = DataOf(section, header, left, table);
  const Elf_Data* const names = data == nullptr ? nullptr : DataOf(strings, strings_header, left, table);
  const size_t each = gelf_fsize(elf, ELF_T_SYM, 1, EV_CURRENT);
  if (names == nullptr || each == 0 || table.strings.size() + names->d_size >= std::numeric_limits<uint32_t>::max())
    return;
  const auto base = static_cast<uint32_t>(table.strings.size());
  table.strings.append(static_cast<const char*>(names->d_buf), names->d_size);
  table.strings.push_back('\0');
  const size_t count = std::min<size_t>(data->d_size / each, std::numeric_limits<int>::max());
  for (size_t i = 0; i < count; ++i) {
    GElf_Sym symbol;
    if (gelf_getsym(const_cast<Elf_Data*>(data), static_cast<int>(i), &symbol) == nullptr) break;
    const unsigned type = GELF_ST_TYPE(symbol.st_info);
    if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol.st_shndx == SHN_UNDEF || symbol.st_size == 0 ||
        symbol.st_name == 0 || symbol.st_name >= names->d_size) {
      continue;
    }
    symbols.push_back(
        {symbol.st_value, symbol.st_size, base + symbol.st_name, static_cast<uint8_t>(GELF_ST_BIND(symbol.st_info))});
  }
}

void ReadBuildId(Elf_Scn* section, const GElf_Shdr& header, size_t& left, SymbolTable& table) {
  Elf_Data* const data = const_cast<Elf_Data*>(DataOf(section, header, left, table));
  if (data == nullptr) return;
  GElf_Nhdr note;
  size_t name = 0;
  size_t description = 0;
  for (size_t at = 0; (at = gelf_getnote(data, at, &note, &name, &description)) > 0;) {
    const char* const bytes = static_cast<const char*>(data->d_buf);
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof("GNU") &&
        memcmp(bytes + name, "GNU", sizeof("GNU")) == 0) {
      table.build_id.assign(bytes + description, note.n_descsz);
      return;
    }
  }
}

void ReadSegments(Elf* elf, SymbolTable& table) {
  size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) return;
  for (size_t i = 0; i < count && i < std::numeric_limits<int>::max(); ++i) {
    GElf_Phdr header;
    if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr) return;
    if (header.p_type == PT_LOAD && (header.p_flags & PF_X) != 0)
      table.segments.push_back({header.p_vaddr, header.p_offset, header.p_filesz});
  }
}

}  // namespace

std::optional<SymbolTable> ReadSymbolTable(int fd, size_t most_bytes) {
  elf_version(EV_CURRENT);
  const ElfHandle elf(elf_begin(fd, ELF_C_READ, nullptr));
  if (elf == nullptr || elf_kind(elf.get()) != ELF_K_ELF) return std::nullopt;
  SymbolTable table;
  ReadSegments(elf.get(), table);
  size_t left = most_bytes;
  std::vector<Symbol> symbols;
  for (Elf_Scn* section = elf_nextscn(elf.get(), nullptr); section != nullptr;
       section = elf_nextscn(elf.get(), section)) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) continue;
    if (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM)
      ReadSymbols(elf.get(), section, header, left, symbols, table);
    else if (header.sh_type == SHT_NOTE && table.build_id.empty())
      ReadBuildId(section, header, left, table);
  }
  if (table.strings.empty()) table.strings.push_back('\0');
  std::sort(symbols.begin(), symbols.end(), [](const Symbol& a, const Symbol& b) {
    return a.address != b.address ? a.address < b.address : a.name < b.name;
  });
  uint64_t reach = 0;
  for (const Symbol& symbol : symbols) {
    const uint64_t end = symbol.address + symbol.size;
    // What goes past the end of the address space is no function.
    if (end < symbol.address) continue;
    reach = std::max(reach, end);
    table.addresses.push_back(symbol.address);
    table.sizes.push_back(symbol.size);
    table.reaches.push_back(reach);
    table.names.push_back(symbol.name);
    table.bindings.push_back(symbol.binding);
  }
  return table;
}

}  // namespace ebpf
