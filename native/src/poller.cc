#include "poller.h"

namespace ebpf {

int Poller::Open(Environment& environment, int fd, Callback callback, void* user, Poller** out) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(environment.env(), &loop) != napi_ok) return -ECANCELED;
  auto* const self = new Poller(environment, callback, user);
  self->poll_.data = self->timer_.data = self;
  const int error = uv_poll_init(loop, &self->poll_, fd);
  if (error != 0) {
    delete self;
    return error;
  }
  // Cannot fail.
  uv_timer_init(loop, &self->timer_);
  self->open_ = 2;
  environment.HandleOpened();
  *out = self;
  return 0;
}

int Poller::Watch() {
  uv_timer_stop(&timer_);
  if (watching_) return 0;
  const int error = uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* handle, int, int) {
    auto* const self = static_cast<Poller*>(handle->data);
    self->callback_(self->user_);
  });
  watching_ = error == 0;
  return error;
}

void Poller::Wait(uint64_t milliseconds) {
  Rest();
  StartTimer(milliseconds);
}

void Poller::StartTimer(uint64_t milliseconds) {
  uv_timer_start(
      &timer_,
      [](uv_timer_t* handle) {
        auto* const self = static_cast<Poller*>(handle->data);
        self->callback_(self->user_);
      },
      milliseconds, 0);
}

void Poller::Rest() {
  uv_timer_stop(&timer_);
  if (watching_) uv_poll_stop(&poll_);
  watching_ = false;
}

void Poller::Ref() {
  uv_ref(reinterpret_cast<uv_handle_t*>(&poll_));
  uv_ref(reinterpret_cast<uv_handle_t*>(&timer_));
}

void Poller::Unref() {
  uv_unref(reinterpret_cast<uv_handle_t*>(&poll_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&timer_));
}

void Poller::Close() {
  Rest();
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), &Poller::Closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), &Poller::Closed);
}

void Poller::Closed(uv_handle_t* handle) {
  auto* const self = static_cast<Poller*>(handle->data);
  if (--self->open_ > 0) return;
  self->environment_.HandleClosed();
  delete self;
}

}  // namespace ebpf
