// What the ways to attach have in common.
#pragma once

#include "link.h"
#include "perform.h"

namespace ebpf {

/// The link that a call of libbpf's makes, as a value.
template <typename Call>
Napi::Value Attached(napi_env env, const char* operation, Call&& call) {
  return Link::Make(env, OwnedLink(Perform(env, operation, call)));
}

}  // namespace ebpf
