#include "perf_recorder_handle.h"

#include <algorithm>

#include "arguments.h"
#include "perform.h"

namespace ebpf {

Napi::Function PerfRecorderHandle::Define(Napi::Env env) {
  return DefineClass(env, "PerfRecorder",
                     {
                         InstanceMethod<&PerfRecorderHandle::Snapshot>("snapshot"),
                         InstanceMethod<&PerfRecorderHandle::Close>("close"),
                     });
}

PerfRecorderHandle::PerfRecorderHandle(const Napi::CallbackInfo& info) : Held<PerfRecorderHandle>(info) {
  const auto [fd, pages] = Arguments<Number<int>, Number<uint32_t>>(info);
  Perform(info.Env(), "bind", [&, fd = fd] { return lock_.Take(fd); });
  Perform(info.Env(), "perf_event_open",
          [&, fd = fd, pages = pages] { return PerfRecorder::Open(fd, pages, recorder_); });
  Hold(Environment::Of(info.Env()).readers);
}

PerfRecorderHandle::~PerfRecorderHandle() = default;

/// Pairs of a CPU and bytes.
Napi::Value PerfRecorderHandle::Snapshot(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!recorder_) ThrowFailure(env, EBADF, "PERF_EVENT_IOC_PAUSE_OUTPUT");
  std::vector<PerfRecorder::Record> records;
  Perform(env, "PERF_EVENT_IOC_PAUSE_OUTPUT", [&] { return recorder_->Snapshot(records); });
  Napi::Array pairs = Napi::Array::New(env, records.size() * 2);
  uint32_t at = 0;
  for (const PerfRecorder::Record& record : records) {
    Napi::Uint8Array bytes = Napi::Uint8Array::New(env, record.bytes.size());
    std::copy(record.bytes.begin(), record.bytes.end(), bytes.Data());
    pairs.Set(at++, Napi::Number::New(env, record.cpu));
    pairs.Set(at++, bytes);
  }
  return pairs;
}

void PerfRecorderHandle::Close(const Napi::CallbackInfo&) {
  CloseWithEnvironment();
}

void PerfRecorderHandle::CloseWithEnvironment() noexcept {
  if (!recorder_) return;
  recorder_.reset();
  lock_ = ReaderLock();
  LetGo();
}

}  // namespace ebpf
