// NativeUserRingWriter: puts records into a user ring buffer, and says when there is room again.
#pragma once

#include <memory>
#include <unordered_map>

#include "environment.h"
#include "poller.h"
#include "reader_lock.h"
#include "user_ring.h"

namespace ebpf {

class UserRingWriter final : public Held<UserRingWriter> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit UserRingWriter(const Napi::CallbackInfo& info);
  ~UserRingWriter() override;

  void CloseWithEnvironment() noexcept override;

 private:
  struct Reserved {
    void* record;
    uint32_t size;
  };

  Napi::Value Write(const Napi::CallbackInfo& info);
  Napi::Value Reserve(const Napi::CallbackInfo& info);
  void Submit(const Napi::CallbackInfo& info);
  void Discard(const Napi::CallbackInfo& info);
  Napi::Value Pending(const Napi::CallbackInfo& info);
  void Watch(const Napi::CallbackInfo& info);
  void Rest(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  void Use(napi_env env, const char* operation) const;
  /// Throws EINVAL for one that is not reserved.
  Reserved Take(napi_env env, double token, const char* operation);
  void OnDrained();

  const napi_env env_;
  ReaderLock lock_;
  std::unique_ptr<UserRing> ring_;
  Poller* poller_ = nullptr;
  napi_async_context asyncContext_ = nullptr;
  Napi::FunctionReference onDrained_;
  std::unordered_map<uint32_t, Reserved> reserved_;
  uint32_t nextToken_ = 0;
};

}  // namespace ebpf
