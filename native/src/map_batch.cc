// Many elements by one call.
#include <bpf/bpf.h>

#include "arguments.h"
#include "map.h"

namespace ebpf {
namespace {

Napi::Value BatchResult(Napi::Env env, int result, uint32_t count) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("errno", Napi::Number::New(env, result));
  object.Set("count", Napi::Number::New(env, count));
  return object;
}

bpf_map_batch_opts BatchOptions(uint32_t flags) {
  bpf_map_batch_opts options{};
  options.sz = sizeof options;
  options.elem_flags = flags;
  return options;
}

}  // namespace

Napi::Value Map::LookupMany(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto [keys, values, results, flags] = Arguments<Bytes, Bytes, Integers, Number<uint32_t>>(info);
  const int fd = Use(env, "bpf_map_lookup_elem_flags");
  const size_t count = results.ElementLength();
  if (keys.size < count * keySize_ || values.size < count * valueRoom_) {
    throw Napi::RangeError::New(env, "a buffer is too small for so many keys or values");
  }
  // The kernel has no batch lookup by given keys: what is saved is the way to JavaScript and back.
  int32_t* const result = results.Data();
  for (size_t i = 0; i < count; ++i) {
    result[i] = bpf_map_lookup_elem_flags(fd, keys.data + i * keySize_, values.data + i * valueRoom_, flags);
  }
  return env.Undefined();
}

Napi::Value Map::LookupBatch(const Napi::CallbackInfo& info) {
  const auto [in, out, keys, values, limit, flags, remove] =
      Arguments<Optional<Bytes>, Bytes, Bytes, Bytes, Number<uint32_t>, Number<uint32_t>, Flag>(info);
  const int fd = Use(info.Env(), "bpf_map_lookup_batch");
  const bpf_map_batch_opts options = BatchOptions(flags);
  uint32_t count = limit;
  const auto call = remove ? bpf_map_lookup_and_delete_batch : bpf_map_lookup_batch;
  const int result = call(fd, in ? in->data : nullptr, out.data, keys.data, values.data, &count, &options);
  return BatchResult(info.Env(), result, count);
}

Napi::Value Map::UpdateBatch(const Napi::CallbackInfo& info) {
  const auto [keys, values, limit, flags] = Arguments<Bytes, Bytes, Number<uint32_t>, Number<uint32_t>>(info);
  const int fd = Use(info.Env(), "bpf_map_update_batch");
  const bpf_map_batch_opts options = BatchOptions(flags);
  uint32_t count = limit;
  const int result = bpf_map_update_batch(fd, keys.data, values.data, &count, &options);
  return BatchResult(info.Env(), result, count);
}

Napi::Value Map::DeleteBatch(const Napi::CallbackInfo& info) {
  const auto [keys, limit, flags] = Arguments<Bytes, Number<uint32_t>, Number<uint32_t>>(info);
  const int fd = Use(info.Env(), "bpf_map_delete_batch");
  const bpf_map_batch_opts options = BatchOptions(flags);
  uint32_t count = limit;
  const int result = bpf_map_delete_batch(fd, keys.data, &count, &options);
  return BatchResult(info.Env(), result, count);
}

}  // namespace ebpf
