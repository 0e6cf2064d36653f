// Many functions by one link, and system calls by their names.
#include <vector>

#include "arguments.h"
#include "libbpf_features.h"
#include "program.h"
#include "program_attach.h"

namespace ebpf {
namespace {

std::vector<std::string> Texts(const Napi::Object& options, const char* name) {
  std::vector<std::string> texts;
  const auto list = Option<Optional<Options>>(options, name);
  if (!list) return texts;
  const auto count = Option<Number<uint32_t>>(*list, "length");
  for (uint32_t i = 0; i < count; ++i) texts.push_back(Argument<Text>(list->Get(i), "a symbol"));
  return texts;
}

template <typename T>
std::vector<T> Numbers(const Napi::Object& options, const char* name) {
  std::vector<T> numbers;
  const auto list = Option<Optional<Options>>(options, name);
  if (!list) return numbers;
  const auto count = Option<Number<uint32_t>>(*list, "length");
  for (uint32_t i = 0; i < count; ++i)
    numbers.push_back(static_cast<T>(Argument<Unsigned64>(list->Get(i), "a number")));
  return numbers;
}

std::vector<const char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> pointers;
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  return pointers;
}

template <typename T>
auto OrNull(std::vector<T>& list) {
  return list.empty() ? nullptr : list.data();
}

}  // namespace

Napi::Value Program::AttachKprobeMulti(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_kprobe_multi_opts";
  bpf_program* const program = Use(info.Env(), kOperation);
  const auto [options] = Arguments<Options>(info);
  const auto pattern = Option<Optional<Text>>(options, "pattern");
  const std::vector<std::string> symbols = Texts(options, "symbols");
  std::vector<const char*> names = Pointers(symbols);
  std::vector<__u64> cookies = Numbers<__u64>(options, "cookies");

  bpf_kprobe_multi_opts libbpf{};
  libbpf.sz = sizeof libbpf;
  libbpf.syms = OrNull(names);
  libbpf.cookies = OrNull(cookies);
  libbpf.cnt = names.size();
  libbpf.retprobe = Option<Flag>(options, "retprobe");
  const bool session = Option<Flag>(options, "session");
#if EBPF_HAS_KPROBE_SESSION
  libbpf.session = session;
#else
  if (session) ThrowFailure(info.Env(), EOPNOTSUPP, kOperation);
#endif
  return Attached(info.Env(), kOperation, [&] {
    return bpf_program__attach_kprobe_multi_opts(program, pattern ? pattern->c_str() : nullptr, &libbpf);
  });
}

Napi::Value Program::AttachKsyscall(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_ksyscall";
  bpf_program* const program = Use(info.Env(), kOperation);
  const auto arguments = Arguments<Text, Flag, Unsigned64>(info);
  bpf_ksyscall_opts libbpf{};
  libbpf.sz = sizeof libbpf;
  libbpf.retprobe = std::get<1>(arguments);
  libbpf.bpf_cookie = std::get<2>(arguments);
  return Attached(info.Env(), kOperation,
                  [&] { return bpf_program__attach_ksyscall(program, std::get<0>(arguments).c_str(), &libbpf); });
}

Napi::Value Program::AttachUprobeMulti(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "bpf_program__attach_uprobe_multi";
  bpf_program* const program = Use(info.Env(), kOperation);
#if EBPF_HAS_UPROBE_MULTI
  const auto arguments = Arguments<Number<int>, Text, Options>(info);
  const Napi::Object& options = std::get<2>(arguments);
  const auto pattern = Option<Optional<Text>>(options, "pattern");
  const std::vector<std::string> symbols = Texts(options, "symbols");
  std::vector<const char*> names = Pointers(symbols);
  std::vector<unsigned long> offsets = Numbers<unsigned long>(options, "offsets");
  std::vector<unsigned long> counters = Numbers<unsigned long>(options, "refCounterOffsets");
  std::vector<__u64> cookies = Numbers<__u64>(options, "cookies");

  bpf_uprobe_multi_opts libbpf{};
  libbpf.sz = sizeof libbpf;
  libbpf.syms = OrNull(names);
  libbpf.offsets = OrNull(offsets);
  libbpf.ref_ctr_offsets = OrNull(counters);
  libbpf.cookies = OrNull(cookies);
  libbpf.cnt = names.empty() ? offsets.size() : names.size();
  libbpf.retprobe = Option<Flag>(options, "retprobe");
  const bool session = Option<Flag>(options, "session");
#if EBPF_HAS_UPROBE_SESSION
  libbpf.session = session;
#else
  if (session) ThrowFailure(info.Env(), EOPNOTSUPP, kOperation);
#endif
  return Attached(info.Env(), kOperation, [&] {
    return bpf_program__attach_uprobe_multi(program, std::get<0>(arguments), std::get<1>(arguments).c_str(),
                                            pattern ? pattern->c_str() : nullptr, &libbpf);
  });
#else
  (void)program;
  ThrowFailure(info.Env(), EOPNOTSUPP, kOperation);
#endif
}

}  // namespace ebpf
