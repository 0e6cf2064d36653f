#include "netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "fd.h"

namespace ebpf {
namespace {
constexpr size_t kChunk = 64 * 1024;

/// 1 when the answer is complete, 0 when more is to come, else a negative errno.
int Gather(const uint8_t* data, size_t size, bool dump, std::vector<uint8_t>& answer) {
  for (size_t at = 0; at + sizeof(nlmsghdr) <= size;) {
    const auto* const header = reinterpret_cast<const nlmsghdr*>(data + at);
    if (header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > size - at) return -EBADMSG;
    if (header->nlmsg_type == NLMSG_ERROR) {
      const int error = reinterpret_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
      return error != 0 ? error : 1;
    }
    if (header->nlmsg_type == NLMSG_DONE) {
      // A dump that failed on its way says so here.
      const int error = *static_cast<const int*>(NLMSG_DATA(header));
      return dump && error < 0 ? error : 1;
    }
    answer.insert(answer.end(), data + at, data + at + header->nlmsg_len);
    at += NLMSG_ALIGN(header->nlmsg_len);
    answer.resize(NLMSG_ALIGN(answer.size()));
  }
  return 0;
}
}  // namespace

int RouteRequest(std::vector<uint8_t> message, std::vector<uint8_t>& answer) {
  if (message.size() < sizeof(nlmsghdr)) return -EINVAL;
  auto* const header = reinterpret_cast<nlmsghdr*>(message.data());
  const bool dump = (header->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  header->nlmsg_len = static_cast<uint32_t>(message.size());
  header->nlmsg_seq = 1;
  header->nlmsg_flags |= NLM_F_REQUEST;
  if (!dump) header->nlmsg_flags |= NLM_F_ACK;

  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket.IsOpen()) return -errno;
  if (::send(socket.Get(), message.data(), message.size(), 0) < 0) return -errno;
  std::vector<uint8_t> chunk(kChunk);
  for (;;) {
    const ssize_t received = ::recv(socket.Get(), chunk.data(), chunk.size(), 0);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return -errno;
    const int state = Gather(chunk.data(), static_cast<size_t>(received), dump, answer);
    if (state != 0) return state < 0 ? state : 0;
  }
}

int HasTcFilters(int interfaceIndex) {
  for (const uint32_t parent : {TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)}) {
    std::vector<uint8_t> message(NLMSG_LENGTH(sizeof(tcmsg)));
    auto* const header = reinterpret_cast<nlmsghdr*>(message.data());
    header->nlmsg_type = RTM_GETTFILTER;
    header->nlmsg_flags = NLM_F_DUMP;
    auto* const tc = static_cast<tcmsg*>(NLMSG_DATA(header));
    tc->tcm_family = AF_UNSPEC;
    tc->tcm_ifindex = interfaceIndex;
    tc->tcm_parent = parent;
    std::vector<uint8_t> answer;
    const int error = RouteRequest(std::move(message), answer);
    if (error < 0) return error;
    if (!answer.empty()) return 1;
  }
  return 0;
}

}  // namespace ebpf
