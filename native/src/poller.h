// Waits for a descriptor on the environment's own event loop.
#pragma once

#include <uv.h>

#include "environment.h"

namespace ebpf {

/// Of libuv's handles, one watches the descriptor and one is a timer, for when watching it would spin. libuv owns
/// handles until it has closed them, which is after their user is gone: a poller lives on the heap and frees itself.
class Poller {
 public:
  using Callback = void (*)(void* user);

  /// 0, or a negative errno (libuv's numbers are that).
  static int Open(Environment& environment, int fd, Callback callback, void* user, Poller** out);

  /// Calls back each time the loop finds the descriptor readable.
  int Watch();
  bool watching() const { return watching_; }
  /// Calls back once after `milliseconds` too, whatever the descriptor says, and goes on watching. 1 comes after the
  /// loop has waited for descriptors; 0 may come before.
  void Again(uint64_t milliseconds) { StartTimer(milliseconds); }
  /// Calls back once after `milliseconds`, and does not watch until told to. 0 may come within the same turn of the
  /// loop: before libuv 1.48, timers that keep starting themselves with 0 let nothing else run.
  void Wait(uint64_t milliseconds);
  void Rest();
  void Ref();
  void Unref();
  /// The last call: nothing is called back after it, and the descriptor may be closed.
  void Close();

 private:
  Poller(Environment& environment, Callback callback, void* user)
      : environment_(environment), callback_(callback), user_(user) {}
  ~Poller() = default;
  void StartTimer(uint64_t milliseconds);
  static void Closed(uv_handle_t* handle);

  Environment& environment_;
  Callback callback_;
  void* user_;
  bool watching_ = false;
  int open_ = 0;
  uv_poll_t poll_{};
  uv_timer_t timer_{};
};

}  // namespace ebpf
