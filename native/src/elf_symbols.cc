#include "elf_symbols.h"

#include <cxxabi.h>
#include <string.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "arguments.h"
#include "symbol_table.h"

namespace ebpf {
namespace {

template <typename Array, typename T>
Array Copy(Napi::Env env, const std::vector<T>& values) {
  Array array = Array::New(env, values.size());
  if (!values.empty()) memcpy(array.Data(), values.data(), values.size() * sizeof(T));
  return array;
}

Napi::Uint8Array CopyBytes(Napi::Env env, const std::string& bytes) {
  return Copy<Napi::Uint8Array>(env, std::vector<uint8_t>(bytes.begin(), bytes.end()));
}

/// (descriptor of a file, the most bytes of tables) -> NativeElfSymbols, or undefined when it is no ELF file.
Napi::Value ReadElfSymbols(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto [fd, most_bytes] = Arguments<Number<int>, Number<uint32_t>>(info);
  const std::optional<SymbolTable> table = ReadSymbolTable(fd, most_bytes);
  if (!table) return env.Undefined();
  std::vector<uint64_t> segments;
  for (const CodeSegment& segment : table->segments)
    segments.insert(segments.end(), {segment.address, segment.offset, segment.size});
  Napi::Object result = Napi::Object::New(env);
  result.Set("addresses", Copy<Napi::BigUint64Array>(env, table->addresses));
  result.Set("sizes", Copy<Napi::BigUint64Array>(env, table->sizes));
  result.Set("reaches", Copy<Napi::BigUint64Array>(env, table->reaches));
  result.Set("names", Copy<Napi::Uint32Array>(env, table->names));
  result.Set("bindings", Copy<Napi::Uint8Array>(env, table->bindings));
  result.Set("strings", CopyBytes(env, table->strings));
  result.Set("segments", Copy<Napi::BigUint64Array>(env, segments));
  result.Set("buildId", CopyBytes(env, table->build_id));
  result.Set("tooLarge", table->too_large);
  return result;
}

/// A name as the C++ compiler wrote it -> as in the source, or undefined when it is none.
Napi::Value Demangle(const Napi::CallbackInfo& info) {
  const auto [name] = Arguments<Text>(info);
  int status = 0;
  const std::unique_ptr<char, decltype(&free)> text(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), free);
  if (text == nullptr || status != 0) return info.Env().Undefined();
  return Napi::String::New(info.Env(), text.get());
}

}  // namespace

void ExportElfSymbols(Napi::Env env, Napi::Object exports) {
  exports.Set("readElfSymbols", Napi::Function::New<ReadElfSymbols>(env, "readElfSymbols"));
  exports.Set("demangle", Napi::Function::New<Demangle>(env, "demangle"));
}

}  // namespace ebpf
