// Where records come from: a ring, or the perf buffers of all CPUs. Needs no Node.
#pragma once

#include <cstddef>
#include <cstdint>

#include "batch.h"

namespace ebpf {

class RecordSource {
 public:
  RecordSource() = default;
  virtual ~RecordSource() = default;
  RecordSource(const RecordSource&) = delete;
  RecordSource& operator=(const RecordSource&) = delete;

  Batch& batch() { return batch_; }

  /// Fills one batch from what is there: at most one slab. 0, or a negative errno.
  virtual int Fill() = 0;

  virtual int PollFd() const = 0;
  /// Whether that descriptor is readable for as long as there is anything; else it says so once, to whoever asks first.
  virtual bool StaysReadable() const { return true; }

  /// Whether that descriptor is readable now.
  virtual bool Ready() const { return Available() > 0; }

  /// Whether to read before anyone asks for it.
  virtual void ReadAhead(bool) {}

  /// Bytes written and not read, headers included.
  virtual uint64_t Available() const = 0;
  /// The same, and a record that was read and is held back.
  uint64_t Unread() const { return Available() + (batch_.holds() ? Batch::RoundUp(batch_.heldSize()) + 8 : 0); }
  /// Grows with whatever is read.
  virtual uint64_t Consumed() const = 0;

  /// Whose buffer the last batch came from; -1 for a ring.
  virtual int Cpu() const { return -1; }
  /// What the kernel reported as lost in the last Fill().
  virtual uint64_t Lost() const { return 0; }

 protected:
  Batch batch_;
};

}  // namespace ebpf
