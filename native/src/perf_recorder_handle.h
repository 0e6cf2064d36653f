// NativePerfRecorder: snapshots of perf buffers that overwrite what is oldest.
#pragma once

#include <memory>

#include "environment.h"
#include "perf_recorder.h"
#include "reader_lock.h"

namespace ebpf {

class PerfRecorderHandle final : public Held<PerfRecorderHandle> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit PerfRecorderHandle(const Napi::CallbackInfo& info);
  ~PerfRecorderHandle() override;

  void CloseWithEnvironment() noexcept override;

 private:
  Napi::Value Snapshot(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  ReaderLock lock_;
  std::unique_ptr<PerfRecorder> recorder_;
};

}  // namespace ebpf
