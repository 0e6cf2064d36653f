#include "tc_filter.h"

#include <errno.h>
#include <sys/stat.h>

#include <map>
#include <mutex>
#include <utility>

#include "log_capture.h"
#include "netlink.h"
#include "netns.h"

namespace ebpf {
namespace {

/// 0 where /proc does not tell.
ino_t CurrentNamespace() {
  struct stat status{};
  const UniqueFd netns = NetworkNamespace::Current();
  return netns.IsOpen() && ::fstat(netns.Get(), &status) == 0 ? status.st_ino : 0;
}

bpf_tc_hook HookOf(int index, int points) {
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = index;
  hook.attach_point = static_cast<bpf_tc_attach_point>(points);
  return hook;
}

}  // namespace

/// Whether a device's clsact came with a filter of ours. Which of the filters goes last nobody knows before, so they
/// share it: those of all threads, since to the kernel, and to whoever else uses the device, they are one process.
class Clsact {
 public:
  static std::shared_ptr<Clsact> Of(int index) {
    static std::mutex mutex;
    static std::map<std::pair<ino_t, int>, std::weak_ptr<Clsact>> all;
    const std::lock_guard lock(mutex);
    for (auto it = all.begin(); it != all.end();) it = it->second.expired() ? all.erase(it) : std::next(it);
    std::weak_ptr<Clsact>& known = all[{CurrentNamespace(), index}];
    std::shared_ptr<Clsact> clsact = known.lock();
    if (!clsact) known = clsact = std::make_shared<Clsact>(index);
    return clsact;
  }

  explicit Clsact(int index) : index_(index) {}

  int Make() {
    bpf_tc_hook hook = HookOf(index_, BPF_TC_INGRESS);
    // That it is there already is no failure: said aloud, it would pass for the reason of the next one.
    const LogCapture silent(-1);
    const int result = bpf_tc_hook_create(&hook);
    if (result == 0) made_ = true;
    return result == -EEXIST ? 0 : result;
  }

  void RemoveIfEmpty() {
    if (!made_ || HasTcFilters(index_) != 0) return;
    bpf_tc_hook hook = HookOf(index_, BPF_TC_INGRESS | BPF_TC_EGRESS);
    bpf_tc_hook_destroy(&hook);
    made_ = false;
  }

  /// Held from where clsact is found until a filter is on it: else another thread, whose filter is the last, removes it
  /// in between.
  std::mutex mutex;

 private:
  const int index_;
  bool made_ = false;
};

TcFilter::TcFilter(int interfaceIndex, bool ingress, uint32_t handle, uint32_t priority)
    : index_(interfaceIndex),
      point_(ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS),
      clsact_(Clsact::Of(interfaceIndex)),
      handle_(handle),
      priority_(priority) {}

bpf_tc_hook TcFilter::Hook() const {
  return HookOf(index_, point_);
}

bpf_tc_opts TcFilter::Options() const {
  bpf_tc_opts options{};
  options.sz = sizeof options;
  options.handle = handle_;
  options.priority = priority_;
  return options;
}

int TcFilter::Attach(int program, bool replace) {
  const std::lock_guard lock(clsact_->mutex);
  int result = clsact_->Make();
  if (result != 0) return result;
  const bpf_tc_hook hook = Hook();
  bpf_tc_opts options = Options();
  options.prog_fd = program;
  options.flags = replace ? BPF_TC_F_REPLACE : 0;
  result = bpf_tc_attach(&hook, &options);
  if (result != 0) {
    clsact_->RemoveIfEmpty();
    return result;
  }
  handle_ = options.handle;
  priority_ = options.priority;
  programId_ = options.prog_id;
  return 0;
}

/// The kernel knows a filter by its place only, and its place may be another's by now.
int TcFilter::IsStillThere() const {
  const bpf_tc_hook hook = Hook();
  bpf_tc_opts found = Options();
  const int result = bpf_tc_query(&hook, &found);
  // EINVAL: clsact is gone, and all of its filters with it.
  if (result == -EINVAL) return -ENOENT;
  if (result != 0) return result;
  return found.prog_id == programId_ ? 0 : -ENOENT;
}

int TcFilter::Detach() {
  const std::lock_guard lock(clsact_->mutex);
  const bpf_tc_hook hook = Hook();
  const bpf_tc_opts options = Options();
  int result = IsStillThere();
  if (result == 0) result = bpf_tc_detach(&hook, &options);
  clsact_->RemoveIfEmpty();
  return result;
}

int TcFilter::Replace(int program) {
  const std::lock_guard lock(clsact_->mutex);
  int result = IsStillThere();
  if (result != 0) return result;
  const bpf_tc_hook hook = Hook();
  bpf_tc_opts options = Options();
  options.prog_fd = program;
  options.flags = BPF_TC_F_REPLACE;
  result = bpf_tc_attach(&hook, &options);
  if (result == 0) programId_ = options.prog_id;
  return result;
}

}  // namespace ebpf
