// NativeRingReader: a ring, or the perf buffers of all CPUs, drained batch by batch into JavaScript.
#pragma once

#include <memory>

#include "environment.h"
#include "poller.h"
#include "reader_lock.h"
#include "record_source.h"

namespace ebpf {

class RingReader final : public Held<RingReader> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit RingReader(const Napi::CallbackInfo& info);
  ~RingReader() override;

  void CloseWithEnvironment() noexcept override;

 private:
  void Start(const Napi::CallbackInfo& info);
  void Stop(const Napi::CallbackInfo& info);
  void ReadAhead(const Napi::CallbackInfo& info);
  Napi::Value Fill(const Napi::CallbackInfo& info);
  void SetBuffers(const Napi::CallbackInfo& info);
  Napi::Value Available(const Napi::CallbackInfo& info);
  void Ref(const Napi::CallbackInfo& info);
  void Unref(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  void Use(napi_env env, const char* operation) const;
  void BindBuffers(Napi::ArrayBuffer slab, Napi::Int32Array index);
  /// Fills the slab, and the report; 0, or a negative errno.
  int FillBatch();
  /// One turn of the event loop: a batch for JavaScript, which fills as many more as it wants, then this decides what
  /// to wait for.
  void OnReady();
  /// Calls JavaScript in a callback scope of its own.
  void Tell(uint32_t count);
  void Rearm(bool progress);
  /// Wakes for what is there and what comes. A negative errno when the loop does not take the descriptor.
  int Await();

  const napi_env env_;
  ReaderLock lock_;
  std::unique_ptr<RecordSource> ring_;
  Poller* poller_ = nullptr;
  napi_async_context asyncContext_ = nullptr;
  Napi::Reference<Napi::ArrayBuffer> slab_;
  Napi::Reference<Napi::Int32Array> index_;
  Napi::Reference<Napi::Float64Array> report_;
  double* reportData_ = nullptr;
  Napi::FunctionReference onReady_;
  bool started_ = false;
  /// Within OnReady(), which decides at its end what to wait for.
  bool turning_ = false;
  /// A batch was filled in this turn.
  bool filled_ = false;
  /// A negative errno that came with records, and is still to be told.
  int error_ = 0;
  /// Milliseconds to wait before looking again at a ring whose first record is still being written.
  uint64_t backOff_ = 0;
  /// The loop may not have registered the descriptor since it was told to watch it.
  bool unregistered_ = false;
};

}  // namespace ebpf
