#include "log_capture.h"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>

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
    if (capture == nullptr || static_cast<int>(level) > capture->level_) return 0;
    try {
      capture->messages_.push_back({static_cast<int>(level), Format(format, arguments)});
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
