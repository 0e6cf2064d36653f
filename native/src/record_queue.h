// Batches on their way from a thread that reads to the event loop, within a limit of memory. Needs no Node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "batch.h"

namespace ebpf {

/// One writes, one reads, each on a thread of its own. Records lie in slabs of memory, many batches in one: a batch of
/// one record takes no more than that. A slab that was read is used again.
class RecordQueue {
 public:
  /// What one reading of the ring brought.
  struct Entry {
    const uint8_t* records = nullptr;
    uint32_t count = 0;
    /// As Batch has them.
    size_t stride = 0;
    size_t size = 0;
    std::vector<int32_t> index;
    int cpu = -1;
    uint64_t lost = 0;
    /// A negative errno in place of records.
    int error = 0;

    size_t Offset(uint32_t i) const { return stride > 0 ? i * stride : static_cast<size_t>(index[2 * i]); }
    size_t Size(uint32_t i) const { return stride > 0 ? size : static_cast<size_t>(index[2 * i + 1]); }
    /// Bytes that a record took in the ring, its header included.
    size_t RingBytes(uint32_t i) const { return Batch::RoundUp(Size(i)) + 8; }
  };

  struct Room {
    enum class Kind { kRoom, kFull, kNoMemory };
    Kind kind;
    uint8_t* data;
    size_t size;
  };

  /// `limit`: bytes of memory, of which a single record may take more when there is nothing else.
  explicit RecordQueue(size_t limit);

  // ---- The writer's ----
  /// Memory for at least so many bytes, aligned to 8 and good until the next call here. After kFull, Pop() says when to
  /// ask again.
  Room Reserve(size_t bytes);
  /// Of the room reserved, `bytes` were filled.
  void Publish(Entry entry, size_t bytes);

  // ---- The reader's ----
  /// Null when there is nothing. Stays where it is until Pop().
  const Entry* Front() const;
  /// Lets go of the front. True when the writer was refused room and there is some now.
  bool Pop();

  // ---- Anybody's ----
  bool empty() const { return Front() == nullptr; }
  /// What the records took in the ring.
  uint64_t ringBytes() const;

 private:
  struct Slab {
    std::unique_ptr<uint64_t[]> memory;
    size_t size;
    size_t used;
    /// Entries that lie in it.
    size_t entries;
  };

  void Release(Slab slab);

  const size_t limit_;
  const size_t slabSize_;
  mutable std::mutex mutex_;
  std::deque<Entry> entries_;
  /// Those in use, in the order of the entries; the last one is being filled.
  std::deque<Slab> slabs_;
  std::vector<std::unique_ptr<uint64_t[]>> spare_;
  /// Of the slabs in use and the entries' indexes.
  size_t memory_ = 0;
  uint64_t ringBytes_ = 0;
  bool refused_ = false;
};

}  // namespace ebpf
