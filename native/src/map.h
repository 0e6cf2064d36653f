// NativeMap: a map by its descriptor.
#pragma once

#include <napi.h>

#include "fd.h"

namespace ebpf {

/// Memory of an arena, mapped by this process.
class Mapping {
 public:
  Mapping() = default;
  ~Mapping() { Close(); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  /// `address` 0 leaves the choice to the kernel; -errno when it cannot be.
  int Open(int fd, uint64_t address, size_t size);
  void Close();
  uint64_t Address() const { return reinterpret_cast<uint64_t>(address_); }

 private:
  void* address_ = nullptr;
  size_t size_ = 0;
};

/// Closed by close() or, as nobody can see a map that no one holds, by the garbage collector.
class Map final : public Napi::ObjectWrap<Map> {
 public:
  static Napi::Function Define(Napi::Env env);
  static Napi::Value Make(Napi::Env env, UniqueFd fd);
  explicit Map(const Napi::CallbackInfo& info);

 private:
  // The hot methods are plain Node-API callbacks: they look up nothing, allocate nothing and throw only when the handle
  // is closed.
  static napi_value Lookup(napi_env env, napi_callback_info info);
  static napi_value Update(napi_env env, napi_callback_info info);
  static napi_value Delete(napi_env env, napi_callback_info info);
  static napi_value LookupAndDelete(napi_env env, napi_callback_info info);
  static napi_value NextKey(napi_env env, napi_callback_info info);

  /// Throws when the handle is closed.
  int Use(napi_env env, const char* operation) const;
  Napi::Value Fd(const Napi::CallbackInfo& info);
  Napi::Value Info(const Napi::CallbackInfo& info);
  void Bind(const Napi::CallbackInfo& info);
  void Freeze(const Napi::CallbackInfo& info);
  void Pin(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  // map_batch.cc
  Napi::Value LookupMany(const Napi::CallbackInfo& info);
  Napi::Value LookupBatch(const Napi::CallbackInfo& info);
  Napi::Value UpdateBatch(const Napi::CallbackInfo& info);
  Napi::Value DeleteBatch(const Napi::CallbackInfo& info);

  // map_arena.cc
  Napi::Value MapArena(const Napi::CallbackInfo& info);
  void ReadMemory(const Napi::CallbackInfo& info);
  void WriteMemory(const Napi::CallbackInfo& info);

  UniqueFd fd_;
  Mapping arena_;
  // What the kernel reads and writes per element, since Bind.
  size_t keySize_ = 0;
  size_t valueRoom_ = 0;
  // Memory of the buffers that the references below keep alive. It does not move; lib/ never hands them out, so nothing
  // detaches them.
  void* key_ = nullptr;
  void* nextKey_ = nullptr;
  void* value_ = nullptr;
  Napi::Reference<Napi::ArrayBuffer> keyBuffer_;
  Napi::Reference<Napi::ArrayBuffer> nextKeyBuffer_;
  Napi::Reference<Napi::ArrayBuffer> valueBuffer_;
};

// Functions of the addon, by their names there.
Napi::Value MapFromPin(const Napi::CallbackInfo& info);
Napi::Value MapFromId(const Napi::CallbackInfo& info);
Napi::Value MapFromFd(const Napi::CallbackInfo& info);
Napi::Value MapCreate(const Napi::CallbackInfo& info);
/// (id) -> a copy of the BTF that the kernel has under this id.
Napi::Value BtfById(const Napi::CallbackInfo& info);
/// (pid) -> a descriptor of the process (pidfd_open, 5.3), owned by the caller.
Napi::Value OpenProcess(const Napi::CallbackInfo& info);

}  // namespace ebpf
