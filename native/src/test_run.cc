#include "test_run.h"

#include <bpf/bpf.h>

#include "arguments.h"
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
  Perform(env, "bpf_prog_test_run_opts", [&, fd = fd] { return bpf_prog_test_run_opts(fd, &libbpf); });

  Napi::Object result = Napi::Object::New(env);
  result.Set("returnValue", Napi::Number::New(env, libbpf.retval));
  result.Set("duration", Napi::Number::New(env, libbpf.duration));
  result.Set("dataSizeOut", Napi::Number::New(env, libbpf.data_size_out));
  result.Set("contextSizeOut", Napi::Number::New(env, libbpf.ctx_size_out));
  return result;
}

}  // namespace ebpf
