#include "log_capture.h"

#include <bpf/libbpf.h>

#include <string>
#include <thread>

#include "check.h"

using ebpf::LogCapture;

namespace {

/// libbpf warns about the bytes it was given, by the name it was given.
void MakeLibbpfWarn(const std::string& name) {
  const char bytes[64] = "not an ELF";
  bpf_object_open_opts options{};
  options.sz = sizeof options;
  options.object_name = name.c_str();
  CHECK(bpf_object__open_mem(bytes, sizeof bytes, &options) == nullptr);
}

bool Has(const std::vector<ebpf::LogMessage>& messages, const std::string& text) {
  for (const auto& message : messages) {
    if (message.text.find(text) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST("a capture gathers what libbpf prints while it lives") {
  LogCapture::Install();
  LogCapture capture(ebpf::kLogInfo);
  MakeLibbpfWarn("something");
  const auto messages = capture.Take();
  CHECK(messages.size() == 1 && messages[0].level == ebpf::kLogWarn);
  CHECK(Has(messages, "something"));
}

TEST("a message arrives whole, however long") {
  const std::string name(3'000'000, 'n');
  LogCapture capture(ebpf::kLogInfo);
  MakeLibbpfWarn(name);
  CHECK(Has(capture.Take(), name));
}

TEST("messages above the level are not kept") {
  LogCapture capture(-1);
  MakeLibbpfWarn("nothing");
  CHECK(capture.Take().empty());
}

TEST("captures nest") {
  LogCapture outer(ebpf::kLogInfo);
  MakeLibbpfWarn("first");
  {
    LogCapture inner(ebpf::kLogInfo);
    MakeLibbpfWarn("second");
    CHECK(Has(inner.Take(), "second"));
  }
  MakeLibbpfWarn("third");
  const auto messages = outer.Take();
  CHECK(Has(messages, "first") && !Has(messages, "second") && Has(messages, "third"));
}

TEST("each thread has its own") {
  LogCapture here(ebpf::kLogInfo);
  std::thread elsewhere([] {
    for (int i = 0; i < 100; ++i) {
      LogCapture there(ebpf::kLogInfo);
      MakeLibbpfWarn("there");
      const auto messages = there.Take();
      CHECK(messages.size() == 1 && Has(messages, "there"));
    }
  });
  for (int i = 0; i < 100; ++i) MakeLibbpfWarn("here");
  elsewhere.join();
  const auto messages = here.Take();
  CHECK(messages.size() == 100 && !Has(messages, "there"));
}
