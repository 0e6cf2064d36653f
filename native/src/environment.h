// What the addon keeps per environment (the main thread and each worker have one of their own), and how it ends.
#pragma once

#include <napi.h>

#include <list>
#include <vector>

#include "log_capture.h"
#include "signal_watch.h"

namespace ebpf {

/// Something that holds a kernel resource until it is closed, or the environment ends.
class Closable {
 public:
  virtual ~Closable() = default;
  virtual void CloseWithEnvironment() noexcept = 0;
};

/// Open resources of one kind. What is listed here is also kept from the garbage collector (see Held).
class Registry {
 public:
  using Entry = std::list<Closable*>::iterator;
  Entry Add(Closable* closable) { return open_.insert(open_.end(), closable); }
  void Remove(Entry entry) { open_.erase(entry); }
  /// Newest first. Each removes itself.
  void CloseAll() noexcept;

 private:
  std::list<Closable*> open_;
};

class Environment {
 public:
  static Environment& Create(Napi::Env env);
  static Environment& Of(napi_env env);
  ~Environment() = default;
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  napi_env env() const { return env_; }
  /// True from the moment the environment starts to go: from then on nothing calls into JavaScript.
  bool ending() const { return ending_; }

  /// Counts uv handles that are not closed yet; the environment waits for them.
  void HandleOpened() { ++openHandles_; }
  void HandleClosed();

  void SetLogger(int level, Napi::Function sink);
  void ClearLogger();
  /// What a capture has to gather: failures carry warnings and information, the logger may want more.
  int captureLevel() const { return loggerLevel_ > kLogInfo ? loggerLevel_ : static_cast<int>(kLogInfo); }
  /// Hands what an operation printed to the logger. What a logger throws becomes an uncaught exception: the operation
  /// it reports on has happened, and its result must not get lost.
  void Publish(const std::vector<LogMessage>& messages) noexcept;

  Napi::FunctionReference program;
  Napi::FunctionReference mapDefinition;
  Napi::FunctionReference map;
  Napi::FunctionReference link;
  Napi::FunctionReference attachment;

  // Closed in this order: a reader before the map it reads, a link before the program that it runs.
  Registry readers;
  Registry links;
  Registry objects;

  /// Attachments that a signal must not leave behind.
  SignalWatch signals;

 private:
  explicit Environment(napi_env env) : env_(env) {}
  static void End(napi_async_cleanup_hook_handle hook, void* self);

  const napi_env env_;
  Napi::FunctionReference logger_;
  int loggerLevel_ = -1;
  bool ending_ = false;
  int openHandles_ = 0;
  napi_async_cleanup_hook_handle hook_ = nullptr;
};

/// A JavaScript object over a kernel resource. Between Hold and LetGo it is strongly referenced, so that the garbage
/// collector never detaches or frees what a user can still see working.
template <typename Self>
class Held : public Napi::ObjectWrap<Self>, public Closable {
 protected:
  using Napi::ObjectWrap<Self>::ObjectWrap;

  void Hold(Registry& registry) {
    registry_ = &registry;
    entry_ = registry.Add(this);
    this->Ref();
  }

  void LetGo() {
    if (registry_ == nullptr) return;
    registry_->Remove(entry_);
    registry_ = nullptr;
    this->Unref();
  }

 private:
  Registry* registry_ = nullptr;
  Registry::Entry entry_;
};

}  // namespace ebpf
