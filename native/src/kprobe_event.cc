// kprobes that a line in tracefs defines: only there can be said how many calls a kretprobe follows at once.
#include "kprobe_event.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "arguments.h"
#include "attachment.h"
#include "fd.h"
#include "perform.h"

namespace ebpf {
namespace {

int AppendLine(const std::string& path, const std::string& line) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!file.IsOpen()) return -errno;
  return ::write(file.Get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()) ? 0 : -errno;
}

/// The number that the kernel gave the event; -errno.
int ReadNumber(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.IsOpen()) return -errno;
  char text[16] = {};
  return ::read(file.Get(), text, sizeof text - 1) > 0 ? std::atoi(text) : -EIO;
}

/// As libbpf opens them: on one CPU, for the program runs wherever the event happens.
int OpenEvent(int number) {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_TRACEPOINT;
  attributes.config = static_cast<uint64_t>(number);
  const long fd = ::syscall(SYS_perf_event_open, &attributes, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  return fd < 0 ? -errno : static_cast<int>(fd);
}

struct KprobeEvent {
  std::string file;
  std::string removal;
  UniqueFd event;
  UniqueFd link;

  int Run(int program, bool byLink, uint64_t cookie) {
    if (byLink) {
      bpf_link_create_opts libbpf{};
      libbpf.sz = sizeof libbpf;
      libbpf.perf_event.bpf_cookie = cookie;
      const int fd = bpf_link_create(program, event.Get(), BPF_PERF_EVENT, &libbpf);
      if (fd < 0) return fd;
      link.Reset(fd);
    } else if (::ioctl(event.Get(), PERF_EVENT_IOC_SET_BPF, program) != 0) {
      return -errno;
    }
    return ::ioctl(event.Get(), PERF_EVENT_IOC_ENABLE, 0) == 0 ? 0 : -errno;
  }

  /// An event that is open cannot be removed.
  int Remove() {
    link.Reset();
    event.Reset();
    return AppendLine(file, removal);
  }
};

/// ({ file, definition, removal, number, program, byLink, cookie }): `file` takes both lines, `number` is where the
/// kernel then tells the event's. A cookie needs a link (5.15).
Napi::Value AttachKprobeEvent(const Napi::CallbackInfo& info) {
  const auto [options] = Arguments<Options>(info);
  const auto probe = std::make_shared<KprobeEvent>();
  probe->file = Option<Text>(options, "file");
  probe->removal = Option<Text>(options, "removal");
  const std::string definition = Option<Text>(options, "definition");
  const std::string number = Option<Text>(options, "number");
  const int program = Option<Number<int>>(options, "program");
  const bool byLink = Option<Flag>(options, "byLink");
  const uint64_t cookie = Option<Unsigned64>(options, "cookie");

  Perform(info.Env(), "kprobe_events", [&] { return AppendLine(probe->file, definition); });
  try {
    const int event = Perform(info.Env(), "tracefs", [&] { return ReadNumber(number); });
    probe->event.Reset(Perform(info.Env(), "perf_event_open", [&] { return OpenEvent(event); }));
    Perform(info.Env(), "perf_event", [&] { return probe->Run(program, byLink, cookie); });
  } catch (...) {
    probe->Remove();
    throw;
  }
  return Attachment::Make(info.Env(), {[=] { return probe->Remove(); }, nullptr});
}

}  // namespace

void ExportKprobeEvent(Napi::Env env, Napi::Object exports) {
  exports.Set("attachKprobeEvent", Napi::Function::New<AttachKprobeEvent>(env, "attachKprobeEvent"));
}

}  // namespace ebpf
