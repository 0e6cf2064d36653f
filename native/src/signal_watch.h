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
/// One environment watches for all of them: each of two would take the other for somebody who handles the signal. When
/// its last attachment goes, another environment's watch takes over.
class SignalWatch {
 public:
  void Add(Environment& environment, Attachment* attachment);
  void Remove(Attachment* attachment);
  /// Held while an attachment is undone or changed: the watch undoes those of other environments, too.
  static std::mutex& Mutex();

 private:
  struct Handles;
  static void TakeOver(uv_async_t* handle);
  static void Caught(uv_signal_t* handle, int signal);
  void Start();
  void Stop();

  std::vector<Attachment*> attachments_;
  Handles* handles_ = nullptr;
};

}  // namespace ebpf
