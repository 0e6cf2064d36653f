// An ELF file that libelf has open.
#pragma once

#include <libelf.h>

#include <memory>

namespace ebpf {

struct ElfEnd {
  void operator()(Elf* elf) const { elf_end(elf); }
};

using ElfHandle = std::unique_ptr<Elf, ElfEnd>;

}  // namespace ebpf
