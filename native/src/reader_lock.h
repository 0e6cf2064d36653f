// A ring has one reader: two would each get a part of its records, and neither would know. Needs no Node.
#pragma once

#include "fd.h"

namespace ebpf {

/// Held by whoever reads a map, in this process or another: an abstract socket named for the map's id, which goes with
/// whoever holds it. Such names belong to a network namespace; readers in different ones do not see each other. One
/// that another user holds, who is not the superuser, is no lock.
class ReaderLock {
 public:
  /// 0; -EBUSY when somebody else reads the map; another negative errno when the map has no id to be had.
  int Take(int mapFd);

 private:
  UniqueFd socket_;
};

}  // namespace ebpf
