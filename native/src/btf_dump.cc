#include "btf_dump.h"

#include <bpf/btf.h>
#include <bpf/libbpf_legacy.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "arguments.h"
#include "perform.h"

namespace ebpf {
namespace {

struct Free {
  void operator()(btf* types) const { btf__free(types); }
  void operator()(btf_ext* extension) const { btf_ext__free(extension); }
  void operator()(btf_dump* dump) const { btf_dump__free(dump); }
};

void Append(void* context, const char* format, va_list arguments) {
  std::string& text = *static_cast<std::string*>(context);
  char room[512];
  va_list again;
  va_copy(again, arguments);
  const int length = vsnprintf(room, sizeof room, format, arguments);
  if (length >= 0 && static_cast<size_t>(length) < sizeof room) {
    text.append(room, static_cast<size_t>(length));
  } else if (length > 0) {
    const size_t start = text.size();
    text.resize(start + static_cast<size_t>(length) + 1);
    vsnprintf(&text[start], static_cast<size_t>(length) + 1, format, again);
    text.pop_back();
  }
  va_end(again);
}

/// (path) -> the C declarations of all types, in an order in which each is declared before it is used.
Napi::Value DumpBtf(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto [path] = Arguments<Text>(info);
  const std::unique_ptr<btf, Free> types(
      Perform(env, "btf__parse", [path = path.c_str()] { return btf__parse(path, nullptr); }));
  std::string text;
  const std::unique_ptr<btf_dump, Free> dump(
      Perform(env, "btf_dump__new", [&] { return btf_dump__new(types.get(), Append, &text, nullptr); }));
  Perform(env, "btf_dump__dump_type", [&] {
    const __u32 count = btf__type_cnt(types.get());
    int result = 0;
    for (__u32 id = 1; id < count && result >= 0; ++id) result = btf_dump__dump_type(dump.get(), id);
    return result;
  });
  return Napi::String::New(env, text);
}

/// (path of an ELF object) -> its .BTF.ext section, or undefined.
Napi::Value ReadBtfExtension(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto [path] = Arguments<Text>(info);
  btf_ext* parsed = nullptr;
  const std::unique_ptr<btf, Free> types(
      Perform(env, "btf__parse_elf", [path = path.c_str(), &parsed] { return btf__parse_elf(path, &parsed); }));
  const std::unique_ptr<btf_ext, Free> extension(parsed);
  if (extension == nullptr) return env.Undefined();
  __u32 size = 0;
  // By its old name: libbpf before 1.4 declares the new one, and does not export it.
  const void* const data = btf_ext__get_raw_data(extension.get(), &size);
  if (data == nullptr) return env.Undefined();
  Napi::Uint8Array copy = Napi::Uint8Array::New(env, size);
  std::memcpy(copy.Data(), data, size);
  return copy;
}

}  // namespace

void ExportBtfDump(Napi::Env env, Napi::Object exports) {
  exports.Set("dumpBtf", Napi::Function::New<DumpBtf>(env, "dumpBtf"));
  exports.Set("readBtfExtension", Napi::Function::New<ReadBtfExtension>(env, "readBtfExtension"));
}

}  // namespace ebpf
