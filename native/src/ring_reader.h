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
  /// How JavaScript is called: from the event loop, in a callback scope of its own, or from JavaScript itself.
  enum class From { kLoop, kJavaScript };

  void Start(const Napi::CallbackInfo& info);
  void Stop(const Napi::CallbackInfo& info);
  Napi::Value Drain(const Napi::CallbackInfo& info);
  void SetBuffers(const Napi::CallbackInfo& info);
  Napi::Value Available(const Napi::CallbackInfo& info);
  void Ref(const Napi::CallbackInfo& info);
  void Unref(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  void Use(napi_env env, const char* operation) const;
  void BindBuffers(Napi::ArrayBuffer slab, Napi::Int32Array index);
  /// One turn of the event loop: one batch, then decides what to wait for.
  void OnReady();
  /// Fills one batch and hands it over. Returns the number of records; `error` is a negative errno of the ring's.
  uint32_t Deliver(From from, int& error);
  /// False when JavaScript cannot be called any more, or threw while called from JavaScript.
  bool Call(From from, const Napi::FunctionReference& function, std::initializer_list<double> numbers);
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
  Napi::FunctionReference onBatch_;
  Napi::FunctionReference onOversize_;
  Napi::FunctionReference onLost_;
  bool started_ = false;
  /// JavaScript is being called with a batch: its slab must stay as it is.
  bool delivering_ = false;
  /// Milliseconds to wait before looking again at a ring whose first record is still being written.
  uint64_t backOff_ = 0;
};

}  // namespace ebpf
