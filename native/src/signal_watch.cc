#include "signal_watch.h"

#include <signal.h>
#include <unistd.h>

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

/// Of the whole process, under the mutex: the environments that have attachments, and the one that watches for all.
struct Watches {
  std::vector<SignalWatch*> all;
  SignalWatch* watching = nullptr;

  bool AnyAttachment() const {
    return std::any_of(all.begin(), all.end(), [](const SignalWatch* watch) { return watch->HasAttachments(); });
  }
};

Watches& TheWatches() {
  static Watches watches;
  return watches;
}

/// libuv owns handles until it has closed them, which is after the watch may be gone.
struct SignalWatch::Handles {
  Environment& environment;
  SignalWatch* watch;
  std::array<uv_signal_t, kCount> signals{};
  /// To have this environment's thread take over, or stop.
  uv_async_t wake{};
  size_t open = 0;

  template <typename Handle>
  void Opened(Handle& handle) {
    handle.data = this;
    ++open;
    // Watching is no reason to go on.
    uv_unref(reinterpret_cast<uv_handle_t*>(&handle));
  }

  template <typename Handle>
  static void Close(Handle& handle) {
    uv_close(reinterpret_cast<uv_handle_t*>(&handle), [](uv_handle_t* closed) {
      auto* const owner = static_cast<Handles*>(closed->data);
      if (--owner->open > 0) return;
      owner->environment.HandleClosed();
      delete owner;
    });
  }
};

std::mutex& SignalWatch::Mutex() {
  static std::mutex mutex;
  return mutex;
}

void SignalWatch::Add(Environment& environment, Attachment* attachment) {
  const std::lock_guard lock(Mutex());
  attachments_.push_back(attachment);
  uv_loop_t* loop = nullptr;
  if (handles_ != nullptr || napi_get_uv_event_loop(environment.env(), &loop) != napi_ok) return;
  handles_ = new Handles{environment, this, {}, {}, 0};
  for (uv_signal_t& signal : handles_->signals) {
    uv_signal_init(loop, &signal);
    handles_->Opened(signal);
  }
  uv_async_init(loop, &handles_->wake, &SignalWatch::Woken);
  handles_->Opened(handles_->wake);
  environment.HandleOpened();
  Watches& watches = TheWatches();
  watches.all.push_back(this);
  if (watches.watching == nullptr) {
    watches.watching = this;
    Start();
  }
}

void SignalWatch::Remove(Attachment* attachment) {
  const std::lock_guard lock(Mutex());
  attachments_.erase(std::remove(attachments_.begin(), attachments_.end(), attachment), attachments_.end());
  const Watches& watches = TheWatches();
  const bool any = watches.AnyAttachment();
  // Between its stop and another one's start a signal would end the process at once.
  if (attachments_.empty() && !(any && watches.watching == this)) Stop();
  if (!any && watches.watching != nullptr) uv_async_send(&watches.watching->handles_->wake);
}

void SignalWatch::End() {
  const std::lock_guard lock(Mutex());
  Stop();
}

void SignalWatch::Start() {
  for (size_t i = 0; i < kCount; ++i) uv_signal_start(&handles_->signals[i], &SignalWatch::Caught, kSignals[i]);
}

void SignalWatch::Woken(uv_async_t* handle) {
  const std::lock_guard lock(Mutex());
  SignalWatch* const watch = static_cast<Handles*>(handle->data)->watch;
  const Watches& watches = TheWatches();
  if (watch == nullptr || watches.watching != watch) return;
  if (watches.AnyAttachment()) {
    watch->Start();
  } else {
    watch->Stop();
  }
}

void SignalWatch::Stop() {
  if (handles_ == nullptr) return;
  Handles* const handles = handles_;
  handles_ = nullptr;
  handles->watch = nullptr;
  for (uv_signal_t& signal : handles->signals) Handles::Close(signal);
  Handles::Close(handles->wake);
  Watches& watches = TheWatches();
  watches.all.erase(std::remove(watches.all.begin(), watches.all.end(), this), watches.all.end());
  if (watches.watching != this) return;
  watches.watching = watches.all.empty() ? nullptr : watches.all.front();
  if (watches.watching != nullptr) uv_async_send(&watches.watching->handles_->wake);
}

void SignalWatch::Caught(uv_signal_t* handle, int signal) {
  const std::lock_guard lock(Mutex());
  if (static_cast<Handles*>(handle->data)->watch == nullptr) return;
  uv_signal_stop(handle);
  if (!NobodyHandles(signal)) {
    uv_signal_start(handle, &SignalWatch::Caught, signal);
    return;
  }
  // Newest first, as everything is undone.
  const Watches& watches = TheWatches();
  for (auto watch = watches.all.rbegin(); watch != watches.all.rend(); ++watch) {
    const auto& attachments = (*watch)->attachments_;
    for (auto it = attachments.rbegin(); it != attachments.rend(); ++it) (*it)->UndoForSignal();
  }
  // To the process: this may be a thread that takes no signals.
  kill(getpid(), signal);
}

}  // namespace ebpf
