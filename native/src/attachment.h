// NativeAttachment: an attachment for which the kernel has no link. It would outlive the process; so it is undone by
// close(), at the end of the environment, and on a signal that ends the process.
#pragma once

#include <functional>

#include "environment.h"

namespace ebpf {

class Attachment final : public Held<Attachment> {
 public:
  /// How an attachment is undone and how its program is exchanged; both return 0 or a negative errno.
  struct Ways {
    std::function<int()> undo;
    std::function<int(int programFd)> replace;
  };

  static Napi::Function Define(Napi::Env env);
  static Napi::Value Make(Napi::Env env, Ways ways);
  explicit Attachment(const Napi::CallbackInfo& info);

  void CloseWithEnvironment() noexcept override;
  /// For a process that is about to end by a signal, perhaps another environment's thread, which holds the mutex of
  /// signals: undoes it, without a word to JavaScript.
  void UndoForSignal() noexcept;

 private:
  void UpdateProgram(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  Ways ways_;
};

}  // namespace ebpf
