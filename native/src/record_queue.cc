#include "record_queue.h"

#include <algorithm>
#include <new>
#include <utility>

namespace ebpf {
namespace {
constexpr size_t kLargestSlab = 256 * 1024;
constexpr size_t kSmallestSlab = 16 * 1024;
constexpr size_t kMostSpare = 4;

uint64_t RingBytesOf(const RecordQueue::Entry& entry) {
  if (entry.stride > 0) return entry.count * uint64_t{entry.RingBytes(0)};
  uint64_t sum = 0;
  for (uint32_t i = 0; i < entry.count; ++i) sum += entry.RingBytes(i);
  return sum;
}

size_t IndexBytes(const RecordQueue::Entry& entry) {
  return entry.index.size() * sizeof entry.index[0];
}
}  // namespace

RecordQueue::RecordQueue(size_t limit)
    : limit_(limit), slabSize_(Batch::RoundUp(std::clamp(limit / 4, kSmallestSlab, kLargestSlab))) {}

RecordQueue::Room RecordQueue::Reserve(size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (!slabs_.empty()) {
    Slab& last = slabs_.back();
    // All of it was read: from the beginning again, where it is warm.
    if (last.entries == 0) last.used = 0;
    if (last.size - last.used >= bytes)
      return {Room::Kind::kRoom, reinterpret_cast<uint8_t*>(last.memory.get()) + last.used, last.size - last.used};
    if (last.entries == 0) {
      Release(std::move(last));
      slabs_.pop_back();
    }
  }
  const size_t size = std::max(slabSize_, Batch::RoundUp(bytes));
  if (memory_ > 0 && memory_ + size > limit_) {
    refused_ = true;
    return {Room::Kind::kFull, nullptr, 0};
  }
  std::unique_ptr<uint64_t[]> memory;
  if (size == slabSize_ && !spare_.empty()) {
    memory = std::move(spare_.back());
    spare_.pop_back();
  } else {
    memory.reset(new (std::nothrow) uint64_t[size / 8]);
    if (!memory) return {Room::Kind::kNoMemory, nullptr, 0};
  }
  memory_ += size;
  slabs_.push_back({std::move(memory), size, 0, 0});
  return {Room::Kind::kRoom, reinterpret_cast<uint8_t*>(slabs_.back().memory.get()), size};
}

void RecordQueue::Publish(Entry entry, size_t bytes) {
  const std::lock_guard lock(mutex_);
  Slab& last = slabs_.back();
  last.used += Batch::RoundUp(bytes);
  ++last.entries;
  memory_ += IndexBytes(entry);
  ringBytes_ += RingBytesOf(entry);
  entries_.push_back(std::move(entry));
}

const RecordQueue::Entry* RecordQueue::Front() const {
  const std::lock_guard lock(mutex_);
  return entries_.empty() ? nullptr : &entries_.front();
}

bool RecordQueue::Pop() {
  const std::lock_guard lock(mutex_);
  const Entry& entry = entries_.front();
  memory_ -= IndexBytes(entry);
  ringBytes_ -= RingBytesOf(entry);
  entries_.pop_front();
  if (--slabs_.front().entries > 0) return false;
  // The last one is the writer's, who may be filling it.
  if (slabs_.size() > 1) {
    Release(std::move(slabs_.front()));
    slabs_.pop_front();
  }
  return std::exchange(refused_, false);
}

uint64_t RecordQueue::ringBytes() const {
  const std::lock_guard lock(mutex_);
  return ringBytes_;
}

void RecordQueue::Release(Slab slab) {
  memory_ -= slab.size;
  if (slab.size == slabSize_ && spare_.size() < kMostSpare) spare_.push_back(std::move(slab.memory));
}

}  // namespace ebpf
