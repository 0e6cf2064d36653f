#include "btf_dump.h"

#include <bpf/btf.h>

#include <cstdarg>
#include <cstdio>
#include <memory>
#include <string>

#include "arguments.h"
#include "perform.h"

namespace ebpf {
namespace {

struct Free {
  void operator()(btf* types) const { btf__free(types); }
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

}  // namespace

void ExportBtfDump(Napi::Env env, Napi::Object exports) {
  exports.Set("dumpBtf", Napi::Function::New<DumpBtf>(env, "dumpBtf"));
}

}  // namespace ebpf
