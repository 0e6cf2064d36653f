// bpf_object__load on a thread of libuv's: the verifier may take seconds.
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "log_capture.h"
#include "object_handle.h"

namespace ebpf {

class LoadWorker final : public Napi::AsyncWorker {
 public:
  /// Returns the promise. The worker frees itself.
  static Napi::Value Start(Napi::Env env, std::shared_ptr<ObjectHandle> handle);

 protected:
  void Execute() override;
  void OnWorkComplete(Napi::Env env, napi_status status) override;
  void OnOK() override;

 private:
  LoadWorker(Napi::Env env, std::shared_ptr<ObjectHandle> handle);

  const std::shared_ptr<ObjectHandle> handle_;
  bpf_object* const object_;
  const int captureLevel_;
  napi_deferred deferred_ = nullptr;
  int result_ = -ECANCELED;
  void* arenaData_ = nullptr;
  std::vector<LogMessage> log_;
  std::vector<std::string> verifierLogs_;
};

}  // namespace ebpf
