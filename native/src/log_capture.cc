#include "log_capture.h"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace ebpf {
namespace {
thread_local LogCapture* innermost = nullptr;

/// A verifier log comes as one argument of one message and may hold megabytes: measure, then format, so that it is
/// whole.
std::string Format(const char* format, va_list arguments) {
  char room[512];
  va_list again;
  va_copy(again, arguments);
  const int length = vsnprintf(room, sizeof room, format, arguments);
  std::string text;
  if (length > 0 && static_cast<size_t>(length) < sizeof room) {
    text.assign(room, static_cast<size_t>(length));
  } else if (length > 0) {
    text.resize(static_cast<size_t>(length));
    vsnprintf(text.data(), text.size() + 1, format, again);
  }
  va_end(again);
  return text;
}
}  // namespace

struct LogRouter {
  static int Print(enum libbpf_print_level level, const char* format, va_list arguments) noexcept {
    LogCapture* const capture = innermost;
    if (capture == nullptr) return 0;
    // libbpf's message of a program that was loaded with a log level above 0 (bpf_object_load_prog); that of one that
    // the verifier rejected is a warning.
    const bool verifierLog = level == LIBBPF_DEBUG && std::strstr(format, "BEGIN PROG LOAD LOG") != nullptr;
    const bool wanted = static_cast<int>(level) <= capture->level_;
    if (!verifierLog && !wanted) return 0;
    try {
      std::string text = Format(format, arguments);
      if (verifierLog) capture->verifierLogs_.push_back(text);
      if (wanted) capture->messages_.push_back({static_cast<int>(level), std::move(text)});
    } catch (...) {
      // Out of memory, in the middle of libbpf's C: a message is lost, the operation goes on.
    }
    return 0;
  }
};

LogCapture::LogCapture(int level) : level_(level), outer_(innermost) {
  innermost = this;
}

LogCapture::~LogCapture() {
  innermost = outer_;
}

void LogCapture::Install() {
  libbpf_set_print(&LogRouter::Print);
}

}  // namespace ebpf
