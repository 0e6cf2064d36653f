// A thread that empties a ring, or perf buffers, into a queue while JavaScript is busy. Needs no Node.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "fd.h"
#include "record_queue.h"
#include "record_source.h"

namespace ebpf {

struct ThreadSettings {
  /// Of memory for what was read and not handed over. When it is full the thread rests, and the ring fills.
  size_t bytes = 0;
  /// Looks so often by itself; -1: only when told.
  int milliseconds = -1;
  /// The source's descriptor tells when there is something.
  bool watches = true;
};

/// A source of records like the one that it reads: whatever the thread has read comes first, in its order.
class ReaderThread final : public RecordSource {
 public:
  /// 0, or a negative errno, and then `out` is untouched.
  static int Open(std::unique_ptr<RecordSource> source, const ThreadSettings& settings,
                  std::unique_ptr<RecordSource>& out);
  ~ReaderThread() override;

  /// From the queue. When that is empty, from the source itself: what a sleeping thread was not told of is found too.
  int Fill() override;
  /// The thread reads from the first call with true on; with false it rests.
  void ReadAhead(bool on) override;

  int PollFd() const override { return filled_.Get(); }
  bool Ready() const override { return !queue_.empty(); }
  uint64_t Available() const override;
  uint64_t Consumed() const override { return taken_; }
  int Cpu() const override { return cpu_; }
  uint64_t Lost() const override { return lost_; }

 private:
  enum class Step { kRead, kNothing, kFull, kNoMemory, kFailed };

  ReaderThread(std::unique_ptr<RecordSource> source, const ThreadSettings& settings)
      : settings_(settings), source_(std::move(source)), queue_(settings.bytes) {}
  int Start();
  void Run();
  /// Reads once from the source into the queue; by the thread, or by who takes from an empty queue.
  Step Read();
  bool Behind() const;
  /// Copies of the front entry what the batch has room for; false when the batch is to end here.
  bool Take(const RecordQueue::Entry& entry);
  void PopFront();
  void Signal();
  /// Until woken, or for so many milliseconds.
  void Rest(int milliseconds);
  /// The same, or until the source's descriptor is readable: only then true.
  bool RestOrWatch(int milliseconds);
  void Wake();

  const ThreadSettings settings_;
  /// Held by who reads the source.
  mutable std::mutex reading_;
  std::unique_ptr<RecordSource> source_;
  std::vector<int32_t> index_;
  RecordQueue queue_;

  /// Readable while the queue holds anything.
  UniqueFd filled_;
  /// It was written since it was last read.
  std::atomic<bool> signalled_{false};
  /// Wakes the thread.
  UniqueFd control_;
  UniqueFd epoll_;
  std::atomic<bool> ahead_{false};
  std::atomic<bool> ending_{false};

  // The event loop's.
  uint32_t next_ = 0;
  uint64_t takenOfFront_ = 0;
  uint64_t taken_ = 0;
  int cpu_ = -1;
  uint64_t lost_ = 0;

  std::thread thread_;
};

}  // namespace ebpf
