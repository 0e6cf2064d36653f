// Undoes attachments that would outlive the process when a signal is about to end it.
#pragma once

#include <uv.h>

#include <vector>

namespace ebpf {

class Attachment;
class Environment;

/// Watches SIGINT, SIGTERM and SIGHUP while there is an attachment. Where nobody else in the process handles such a
/// signal, it would end the process without a word: then the attachments are undone first. Where somebody does, the
/// signal is theirs, and the process ends (if it does) in a way that the environment's end sees.
class SignalWatch {
 public:
  void Add(Environment& environment, Attachment* attachment);
  void Remove(Attachment* attachment);

 private:
  struct Handles;
  static void Caught(uv_signal_t* handle, int signal);
  void Stop();

  std::vector<Attachment*> attachments_;
  Handles* handles_ = nullptr;
};

}  // namespace ebpf
