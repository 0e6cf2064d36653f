#include "system.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/if_packet.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <vector>

#include "arguments.h"
#include "fd.h"
#include "netlink.h"
#include "netns.h"
#include "perform.h"

namespace ebpf {
namespace {

/// Calls a function within a network namespace: (namespaceFd, function). What it returns comes back, what it throws
/// too.
Napi::Value InNetworkNamespace(const Napi::CallbackInfo& info) {
  const auto arguments = Arguments<Number<int>, Callable>(info);
  const NetworkNamespace inside(std::get<0>(arguments));
  if (inside.error() != 0) ThrowFailure(info.Env(), -inside.error(), "setns");
  return std::get<1>(arguments).Call({});
}

/// 0 when the current namespace has no device of that name.
Napi::Value InterfaceIndex(const Napi::CallbackInfo& info) {
  const auto arguments = Arguments<Text>(info);
  const std::string& name = std::get<0>(arguments);
  ifreq request{};
  if (name.size() >= sizeof request.ifr_name) return Napi::Number::New(info.Env(), 0);
  name.copy(request.ifr_name, name.size());
  // Not by if_nametoindex(), which does not tell why it could not ask.
  Perform(info.Env(), "SIOCGIFINDEX", [&] {
    const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket.IsOpen()) return -errno;
    return ::ioctl(socket.Get(), SIOCGIFINDEX, &request) == 0 || errno == ENODEV ? 0 : -errno;
  });
  return Napi::Number::New(info.Env(), request.ifr_ifindex);
}

/// rtnetlink in the current namespace: (message) -> the answer's messages.
Napi::Value Netlink(const Napi::CallbackInfo& info) {
  const auto [message] = Arguments<Bytes>(info);
  std::vector<uint8_t> answer;
  Perform(info.Env(), "rtnetlink",
          [&, message = message] { return RouteRequest({message.data, message.data + message.size}, answer); });
  Napi::Uint8Array result = Napi::Uint8Array::New(info.Env(), answer.size());
  std::copy(answer.begin(), answer.end(), result.Data());
  return result;
}

/// A raw packet socket on a device of the current namespace: (interfaceIndex, protocol) -> descriptor.
Napi::Value PacketSocket(const Napi::CallbackInfo& info) {
  const auto [index, protocol] = Arguments<Number<int>, Number<uint16_t>>(info);
  const int fd = Perform(info.Env(), "packet(7)", [&, index = index, protocol = protocol] {
    // Protocol 0 first: until it is bound, packets of other devices must not get in.
    UniqueFd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.IsOpen()) return -errno;
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(protocol);
    address.sll_ifindex = index;
    if (::bind(socket.Get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -errno;
    return socket.Release();
  });
  return Napi::Number::New(info.Env(), fd);
}

/// perf_event_open(2), disabled: ({ type, config, period, frequency, pid, cpu, cgroup, inherit, inheritThread }) ->
/// descriptor.
Napi::Value PerfEventOpen(const Napi::CallbackInfo& info) {
  const auto [options] = Arguments<Options>(info);
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = Option<Number<uint32_t>>(options, "type");
  attributes.config = Option<Unsigned64>(options, "config");
  const uint64_t period = Option<Unsigned64>(options, "period");
  const uint64_t frequency = Option<Unsigned64>(options, "frequency");
  attributes.freq = frequency != 0;
  attributes.sample_period = frequency != 0 ? frequency : period;
  attributes.inherit = Option<Flag>(options, "inherit");
  attributes.inherit_thread = Option<Flag>(options, "inheritThread");
  attributes.disabled = 1;
  const int pid = Option<Number<int>>(options, "pid");
  const int cpu = Option<Number<int>>(options, "cpu");
  unsigned long flags = PERF_FLAG_FD_CLOEXEC;
  if (Option<Flag>(options, "cgroup")) flags |= PERF_FLAG_PID_CGROUP;
  const int fd = Perform(info.Env(), "perf_event_open", [&] {
    const long result = ::syscall(SYS_perf_event_open, &attributes, pid, cpu, -1, flags);
    return result < 0 ? -errno : static_cast<int>(result);
  });
  return Napi::Number::New(info.Env(), fd);
}

/// Switches the counting of run time and runs on, until the descriptor is closed.
Napi::Value EnableStats(const Napi::CallbackInfo& info) {
  const int fd = Perform(info.Env(), "bpf_enable_stats", [] { return bpf_enable_stats(BPF_STATS_RUN_TIME); });
  return Napi::Number::New(info.Env(), fd);
}

}  // namespace

void ExportSystem(Napi::Env env, Napi::Object exports) {
  exports.Set("inNetworkNamespace", Napi::Function::New<InNetworkNamespace>(env, "inNetworkNamespace"));
  exports.Set("interfaceIndex", Napi::Function::New<InterfaceIndex>(env, "interfaceIndex"));
  exports.Set("netlink", Napi::Function::New<Netlink>(env, "netlink"));
  exports.Set("packetSocket", Napi::Function::New<PacketSocket>(env, "packetSocket"));
  exports.Set("perfEventOpen", Napi::Function::New<PerfEventOpen>(env, "perfEventOpen"));
  exports.Set("enableStats", Napi::Function::New<EnableStats>(env, "enableStats"));
}

}  // namespace ebpf
