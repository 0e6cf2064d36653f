// Calls within another network namespace.
#pragma once

#include "fd.h"

namespace ebpf {

/// This thread is in another network namespace while it lives. setns(2) is a matter of one thread, so others do not
/// notice.
class NetworkNamespace {
 public:
  /// Enters the namespace of the descriptor; -1 stays where the thread is.
  explicit NetworkNamespace(int fd);
  /// Back to where it was. A thread that could not go back would work on in the wrong namespace: the process ends
  /// instead.
  ~NetworkNamespace();
  NetworkNamespace(const NetworkNamespace&) = delete;
  NetworkNamespace& operator=(const NetworkNamespace&) = delete;

  /// 0, or the negative errno of why it is not inside.
  int error() const { return error_; }

  /// A descriptor of the namespace that this thread is in; not open when /proc does not tell.
  static UniqueFd Current();

 private:
  UniqueFd home_;
  int error_ = 0;
};

}  // namespace ebpf
