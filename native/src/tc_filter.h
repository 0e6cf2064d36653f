// A BPF filter of tc(8) on a device's clsact, and the clsact that came with it. Needs no Node.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <memory>

namespace ebpf {

class Clsact;

/// All functions act in the network namespace that the thread is in, and return 0 or a negative errno.
class TcFilter {
 public:
  /// Handle and priority 0: the kernel's choice.
  TcFilter(int interfaceIndex, bool ingress, uint32_t handle, uint32_t priority);

  /// Makes clsact where it is not there; when this fails, it does not stay for it.
  int Attach(int program, bool replace);
  /// -ENOENT when it is gone, or another program is in its place by now, which then stays.
  int Detach();
  /// The same; -ENODEV when the device is gone.
  int Replace(int program);

  uint32_t handle() const { return handle_; }
  uint32_t priority() const { return priority_; }

 private:
  bpf_tc_hook Hook() const;
  bpf_tc_opts Options() const;
  int IsStillThere() const;

  const int index_;
  const bpf_tc_attach_point point_;
  const std::shared_ptr<Clsact> clsact_;
  uint32_t handle_;
  uint32_t priority_;
  uint32_t programId_ = 0;
};

}  // namespace ebpf
