// rtnetlink: one request, its whole answer. Needs no Node.
#pragma once

#include <cstdint>
#include <vector>

namespace ebpf {

/// Sends one message (NLM_F_REQUEST and a type are set by the caller; sequence number and, unless it is a dump,
/// NLM_F_ACK here) and gathers the answer's messages. Returns 0 or a negative errno.
int RouteRequest(std::vector<uint8_t> message, std::vector<uint8_t>& answer);

/// Whether any filter is on a device's clsact, in either direction; a negative errno when it cannot tell.
int HasTcFilters(int interfaceIndex);

}  // namespace ebpf
