#include "load_worker.h"

#include "environment.h"
#include "failure.h"
#include "load_object.h"

namespace ebpf {
namespace {
constexpr char kOperation[] = "bpf_object__load";
}

Napi::Value LoadWorker::Start(Napi::Env env, std::shared_ptr<ObjectHandle> handle) {
  auto* const worker = new LoadWorker(env, std::move(handle));
  napi_value promise = nullptr;
  napi_create_promise(env, &worker->deferred_, &promise);
  worker->handle_->BeginLoad();
  worker->Queue();
  return Napi::Value(env, promise);
}

LoadWorker::LoadWorker(Napi::Env env, std::shared_ptr<ObjectHandle> handle)
    : Napi::AsyncWorker(env, "ebpf.load"),
      handle_(std::move(handle)),
      object_(handle_->Use(env, kOperation)),
      captureLevel_(Environment::Of(env).captureLevel()) {}

void LoadWorker::Execute() {
  LogCapture capture(captureLevel_);
  result_ = LoadObject(object_, arenaData_);
  log_ = capture.Take();
  verifierLogs_ = capture.TakeVerifierLogs();
}

void LoadWorker::OnWorkComplete(Napi::Env env, napi_status status) {
  const bool closed = handle_->closed();
  handle_->EndLoad(result_, arenaData_);
  if (closed) result_ = -ECANCELED;
  Napi::AsyncWorker::OnWorkComplete(env, status);
}

void LoadWorker::OnOK() {
  // The environment may be ending: Node-API then refuses, and there is nobody to tell. Hence no C++ wrappers, which
  // would throw.
  const napi_env env = Env();
  Environment& environment = Environment::Of(env);
  if (environment.ending()) return;
  environment.Publish(log_);
  if (result_ == 0) {
    if (const napi_value logs = MakeStrings(env, verifierLogs_)) napi_resolve_deferred(env, deferred_, logs);
  } else if (const napi_value failure = MakeFailure(env, -result_, kOperation, log_)) {
    napi_reject_deferred(env, deferred_, failure);
  }
}

}  // namespace ebpf
