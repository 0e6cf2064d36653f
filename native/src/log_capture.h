// libbpf prints through one callback per process. What it prints is routed here by thread, to the operation that runs
// on it. Needs no Node.
#pragma once

#include <string>
#include <vector>

namespace ebpf {

/// libbpf's levels, as its enum libbpf_print_level has them.
enum LogLevel : int { kLogWarn = 0, kLogInfo = 1, kLogDebug = 2 };

struct LogMessage {
  int level;
  std::string text;
};

/// While it lives, gathers what libbpf prints on this thread up to `level`. Captures nest: the innermost gets the
/// messages. The verifier's logs of programs that load, which libbpf prints as debugging output, are kept apart,
/// whatever the level.
class LogCapture {
 public:
  explicit LogCapture(int level);
  ~LogCapture();
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  std::vector<LogMessage> Take() { return std::move(messages_); }
  std::vector<std::string> TakeVerifierLogs() { return std::move(verifierLogs_); }

  /// Makes libbpf print to the captures, and to nowhere where there is none. Any number of times, from any thread.
  static void Install();

 private:
  friend struct LogRouter;
  const int level_;
  LogCapture* const outer_;
  std::vector<LogMessage> messages_;
  std::vector<std::string> verifierLogs_;
};

}  // namespace ebpf
