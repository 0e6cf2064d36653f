#include "user_ring_writer.h"

#include <errno.h>

#include <cstring>

#include "arguments.h"
#include "perform.h"

namespace ebpf {

Napi::Function UserRingWriter::Define(Napi::Env env) {
  return DefineClass(env, "UserRingWriter",
                     {
                         InstanceMethod<&UserRingWriter::Write>("write"),
                         InstanceMethod<&UserRingWriter::Reserve>("reserve"),
                         InstanceMethod<&UserRingWriter::Submit>("submit"),
                         InstanceMethod<&UserRingWriter::Discard>("discard"),
                         InstanceMethod<&UserRingWriter::Pending>("pending"),
                         InstanceMethod<&UserRingWriter::Watch>("watch"),
                         InstanceMethod<&UserRingWriter::Rest>("rest"),
                         InstanceMethod<&UserRingWriter::Close>("close"),
                     });
}

UserRingWriter::UserRingWriter(const Napi::CallbackInfo& info) : Held<UserRingWriter>(info), env_(info.Env()) {
  const auto [options] = Arguments<Options>(info);
  const int fd = Option<Number<int>>(options, "mapFd");
  onDrained_ = Napi::Persistent(Option<Callable>(options, "onDrained"));
  Perform(env_, "bind", [&] { return lock_.Take(fd); });
  Perform(env_, "user_ring_buffer__new", [&] { return UserRing::Open(fd, ring_); });

  napi_value name = nullptr;
  napi_create_string_utf8(env_, "ebpf.UserRingWriter", NAPI_AUTO_LENGTH, &name);
  if (napi_async_init(env_, info.This(), name, &asyncContext_) != napi_ok)
    ThrowFailure(env_, ECANCELED, "napi_async_init");
  Environment& environment = Environment::Of(env_);
  const int error = Poller::Open(
      environment, ring_->DrainedFd(), [](void* self) { static_cast<UserRingWriter*>(self)->OnDrained(); }, this,
      &poller_);
  if (error != 0) {
    napi_async_destroy(env_, asyncContext_);
    ThrowFailure(env_, -error, "uv_poll_init");
  }
  Hold(environment.readers);
}

UserRingWriter::~UserRingWriter() = default;

void UserRingWriter::Use(napi_env env, const char* operation) const {
  if (!ring_) ThrowFailure(env, EBADF, operation);
}

Napi::Value UserRingWriter::Write(const Napi::CallbackInfo& info) {
  Use(info.Env(), "user_ring_buffer__reserve");
  const auto [bytes, size] = Arguments<Bytes, Number<uint32_t>>(info);
  if (size > bytes.size) ThrowFailure(info.Env(), EINVAL, "user_ring_buffer__submit");
  int error = 0;
  if (void* const record = ring_->Reserve(size, error)) {
    if (size > 0) std::memcpy(record, bytes.data, size);
    ring_->Submit(record);
  }
  return Napi::Number::New(info.Env(), error);
}

Napi::Value UserRingWriter::Reserve(const Napi::CallbackInfo& info) {
  Use(info.Env(), "user_ring_buffer__reserve");
  const auto [size] = Arguments<Number<uint32_t>>(info);
  int error = 0;
  void* const record = ring_->Reserve(size, error);
  if (record == nullptr) return Napi::Number::New(info.Env(), error);
  const uint32_t token = nextToken_++ & INT32_MAX;
  reserved_[token] = {record, size};
  return Napi::Number::New(info.Env(), token);
}

UserRingWriter::Reserved UserRingWriter::Take(napi_env env, double token, const char* operation) {
  const auto found = reserved_.find(static_cast<uint32_t>(token));
  if (found == reserved_.end()) ThrowFailure(env, EINVAL, operation);
  const Reserved reserved = found->second;
  reserved_.erase(found);
  return reserved;
}

void UserRingWriter::Submit(const Napi::CallbackInfo& info) {
  Use(info.Env(), "user_ring_buffer__submit");
  const auto [token, bytes] = Arguments<Number<uint32_t>, Bytes>(info);
  const Reserved reserved = Take(info.Env(), token, "user_ring_buffer__submit");
  if (bytes.size != reserved.size) {
    ring_->Discard(reserved.record);
    ThrowFailure(info.Env(), EINVAL, "user_ring_buffer__submit");
  }
  if (bytes.size > 0) std::memcpy(reserved.record, bytes.data, bytes.size);
  ring_->Submit(reserved.record);
}

void UserRingWriter::Discard(const Napi::CallbackInfo& info) {
  Use(info.Env(), "user_ring_buffer__discard");
  const auto [token] = Arguments<Number<uint32_t>>(info);
  ring_->Discard(Take(info.Env(), token, "user_ring_buffer__discard").record);
}

Napi::Value UserRingWriter::Pending(const Napi::CallbackInfo& info) {
  Use(info.Env(), "user_ring_buffer");
  return Napi::Number::New(info.Env(), static_cast<double>(ring_->Pending()));
}

void UserRingWriter::Watch(const Napi::CallbackInfo& info) {
  Use(info.Env(), "uv_poll_start");
  const int error = poller_->Watch();
  if (error != 0) ThrowFailure(info.Env(), -error, "uv_poll_start");
}

void UserRingWriter::Rest(const Napi::CallbackInfo& info) {
  Use(info.Env(), "uv_poll_stop");
  poller_->Rest();
}

void UserRingWriter::Close(const Napi::CallbackInfo&) {
  CloseWithEnvironment();
}

void UserRingWriter::CloseWithEnvironment() noexcept {
  if (!ring_) return;
  // A record left reserved would block the program for ever, and every writer to come.
  for (const auto& [token, reserved] : reserved_) ring_->Discard(reserved.record);
  reserved_.clear();
  poller_->Close();
  poller_ = nullptr;
  ring_.reset();
  napi_async_destroy(env_, asyncContext_);
  asyncContext_ = nullptr;
  onDrained_.Reset();
  lock_ = ReaderLock();
  LetGo();
}

void UserRingWriter::OnDrained() {
  if (Environment::Of(env_).ending() || !ring_) return;
  ring_->Acknowledge();
  napi_handle_scope scope;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  napi_value self, callee, global, result;
  // The callback may close this writer, and from then on only this handle keeps it from the garbage collector.
  napi_get_reference_value(env_, *this, &self);
  if (napi_get_reference_value(env_, onDrained_, &callee) == napi_ok && napi_get_global(env_, &global) == napi_ok) {
    const napi_status status = napi_make_callback(env_, asyncContext_, global, callee, 0, nullptr, &result);
    napi_value thrown;
    if (status == napi_pending_exception && napi_get_and_clear_last_exception(env_, &thrown) == napi_ok)
      napi_fatal_exception(env_, thrown);
  }
  napi_close_handle_scope(env_, scope);
}

}  // namespace ebpf
