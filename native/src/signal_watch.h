// Undoes attachments that would outlive the process when a signal is about to end it.
#pragma once

#include <uv.h>

#include <mutex>
#include <vector>

namespace ebpf {

class Attachment;
class Environment;

/// Watches SIGINT, SIGTERM and SIGHUP while there is an attachment. Where nobody else in the process handles such a
/// signal, it would end the process without a word: then the attachments are undone first. Where somebody does, the
/// signal is theirs, and the process ends (if it does) in a way that the environment's end sees.
///
/// One environment watches for all of them: each of two would take the other for somebody who handles the signal. It
/// goes on when its own last attachment has gone, until the last of all has; when it ends, another environment's watch
/// takes over, which that one's thread does when it next turns.
class SignalWatch {
 public:
  void Add(Environment& environment, Attachment* attachment);
  void Remove(Attachment* attachment);
  /// The environment ends, and has no attachment any more.
  void End();
  /// Held while an attachment is undone or changed: the watch undoes those of other environments, too.
  static std::mutex& Mutex();
  /// Under the mutex.
  bool HasAttachments() const { return !attachments_.empty(); }

 private:
  struct Handles;
  static void Woken(uv_async_t* handle);
  static void Caught(uv_signal_t* handle, int signal);
  void Start();
  void Stop();

  std::vector<Attachment*> attachments_;
  Handles* handles_ = nullptr;
};

}  // namespace ebpf
