#include "elf_section.h"

#include <gelf.h>
#include <string.h>

#include "arguments.h"
#include "elf_handle.h"

namespace ebpf {
namespace {

/// (an object's bytes, name) -> a copy of the section, or undefined; of several, of the last, which is the one that
/// libbpf takes.
Napi::Value ReadSection(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto [object, name] = Arguments<Bytes, Text>(info);
  elf_version(EV_CURRENT);
  // libelf takes what it may write to, and does not write what it only reads.
  const ElfHandle elf(elf_memory(reinterpret_cast<char*>(object.data), object.size));
  size_t names = 0;
  if (elf == nullptr || elf_getshdrstrndx(elf.get(), &names) != 0) return env.Undefined();
  Elf_Scn* last = nullptr;
  GElf_Shdr header;
  for (Elf_Scn* section = elf_nextscn(elf.get(), nullptr); section != nullptr;
       section = elf_nextscn(elf.get(), section)) {
    if (gelf_getshdr(section, &header) == nullptr) continue;
    const char* const found = elf_strptr(elf.get(), names, header.sh_name);
    if (found != nullptr && name == found) last = section;
  }
  if (last == nullptr || gelf_getshdr(last, &header) == nullptr || header.sh_type == SHT_NOBITS) return env.Undefined();
  const Elf_Data* const data = elf_rawdata(last, nullptr);
  if (data == nullptr || data->d_buf == nullptr) return env.Undefined();
  Napi::Uint8Array copy = Napi::Uint8Array::New(env, data->d_size);
  memcpy(copy.Data(), data->d_buf, data->d_size);
  return copy;
}

}  // namespace

void ExportElfSection(Napi::Env env, Napi::Object exports) {
  exports.Set("readSection", Napi::Function::New<ReadSection>(env, "readSection"));
}

}  // namespace ebpf
