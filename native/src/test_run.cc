#include "test_run.h"

#include <bpf/bpf.h>

#include <system_error>
#include <thread>

#include "arguments.h"
#include "blocked_signals.h"
#include "perform.h"

namespace ebpf {
namespace {

template <typename Pointer>
void SetSpan(const Napi::Object& options, const char* name, Pointer& data, uint32_t& size) {
  const auto span = Option<Optional<Bytes>>(options, name);
  if (!span) return;
  data = span->data;
  size = static_cast<uint32_t>(span->size);
}

uint32_t NumberOrZero(const Napi::Object& options, const char* name) {
  return Option<Optional<Number<uint32_t>>>(options, name).value_or(0);
}

/// Between two runs the kernel gives up, with EINTR, where something waits for the thread (net/bpf/test_run.c:
/// bpf_test_timer_continue()): a signal, which every child that ends sends, and a profiler hundreds of times per
/// second; or work of io_uring's, which comes when a ring is closed, as libuv does after each spawnSync()
/// (io_uring/io_uring.c: io_ring_exit_work()). So it is a thread that nothing waits for: of the same name, on the same
/// CPUs, as this one.
int RunManyTimes(int fd, bpf_test_run_opts& options) {
  int result = 0;
  std::thread thread;
  try {
    const BlockedSignals all;
    thread = std::thread([&] { result = bpf_prog_test_run_opts(fd, &options); });
  } catch (const std::system_error& failure) {
    return -failure.code().value();
  }
  thread.join();
  return result;
}

}  // namespace

Napi::Value TestRun(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto [fd, options] = Arguments<Number<int>, Options>(info);
  bpf_test_run_opts libbpf{};
  libbpf.sz = sizeof libbpf;
  SetSpan(options, "data", libbpf.data_in, libbpf.data_size_in);
  SetSpan(options, "dataOut", libbpf.data_out, libbpf.data_size_out);
  SetSpan(options, "context", libbpf.ctx_in, libbpf.ctx_size_in);
  SetSpan(options, "contextOut", libbpf.ctx_out, libbpf.ctx_size_out);
  libbpf.repeat = static_cast<int>(NumberOrZero(options, "repeat"));
  libbpf.flags = NumberOrZero(options, "flags");
  libbpf.cpu = NumberOrZero(options, "cpu");
  libbpf.batch_size = NumberOrZero(options, "batchSize");
  Perform(env, "bpf_prog_test_run_opts",
          [&, fd = fd] { return libbpf.repeat > 1 ? RunManyTimes(fd, libbpf) : bpf_prog_test_run_opts(fd, &libbpf); });

  Napi::Object result = Napi::Object::New(env);
  result.Set("returnValue", Napi::Number::New(env, libbpf.retval));
  result.Set("duration", Napi::Number::New(env, libbpf.duration));
  result.Set("dataSizeOut", Napi::Number::New(env, libbpf.data_size_out));
  result.Set("contextSizeOut", Napi::Number::New(env, libbpf.ctx_size_out));
  return result;
}

}  // namespace ebpf
