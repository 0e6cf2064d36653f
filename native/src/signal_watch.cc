#include "signal_watch.h"

#include <signal.h>

#include <algorithm>
#include <array>

#include "attachment.h"
#include "environment.h"

namespace ebpf {
namespace {
constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
constexpr size_t kCount = std::size(kSignals);

/// By the disposition that libuv leaves when its last handle for the signal has stopped.
bool NobodyHandles(int signal) {
  struct sigaction action{};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_DFL;
}
}  // namespace

/// libuv owns handles until it has closed them, which is after the watch may be gone.
struct SignalWatch::Handles {
  Environment& environment;
  SignalWatch* watch;
  std::array<uv_signal_t, kCount> signals{};
  size_t open = 0;
};

void SignalWatch::Add(Environment& environment, Attachment* attachment) {
  attachments_.push_back(attachment);
  uv_loop_t* loop = nullptr;
  if (handles_ != nullptr || napi_get_uv_event_loop(environment.env(), &loop) != napi_ok) return;
  handles_ = new Handles{environment, this, {}, 0};
  for (size_t i = 0; i < kCount; ++i) {
    uv_signal_t& handle = handles_->signals[i];
    uv_signal_init(loop, &handle);
    handle.data = handles_;
    ++handles_->open;
    uv_signal_start(&handle, &SignalWatch::Caught, kSignals[i]);
    // Watching is no reason to go on.
    uv_unref(reinterpret_cast<uv_handle_t*>(&handle));
  }
  environment.HandleOpened();
}

void SignalWatch::Remove(Attachment* attachment) {
  attachments_.erase(std::remove(attachments_.begin(), attachments_.end(), attachment), attachments_.end());
  if (attachments_.empty()) Stop();
}

void SignalWatch::Stop() {
  if (handles_ == nullptr) return;
  Handles* const handles = handles_;
  handles_ = nullptr;
  handles->watch = nullptr;
  for (uv_signal_t& signal : handles->signals) {
    uv_close(reinterpret_cast<uv_handle_t*>(&signal), [](uv_handle_t* handle) {
      auto* const owner = static_cast<Handles*>(handle->data);
      if (--owner->open > 0) return;
      owner->environment.HandleClosed();
      delete owner;
    });
  }
}

void SignalWatch::Caught(uv_signal_t* handle, int signal) {
  SignalWatch* const watch = static_cast<Handles*>(handle->data)->watch;
  if (watch == nullptr) return;
  uv_signal_stop(handle);
  if (!NobodyHandles(signal)) {
    uv_signal_start(handle, &SignalWatch::Caught, signal);
    return;
  }
  // Newest first, as everything is undone.
  const std::vector<Attachment*> attachments(watch->attachments_.rbegin(), watch->attachments_.rend());
  for (Attachment* const attachment : attachments) attachment->UndoForSignal();
  raise(signal);
}

}  // namespace ebpf
