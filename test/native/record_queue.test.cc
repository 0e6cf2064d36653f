#include "record_queue.h"

#include <cstring>

#include "check.h"

using ebpf::RecordQueue;
using Kind = RecordQueue::Room::Kind;

namespace {

constexpr size_t kLimit = 64 * 1024;

/// One record of so many bytes, all alike; false when there was no room.
bool Put(RecordQueue& queue, size_t size, uint8_t byte) {
  const RecordQueue::Room room = queue.Reserve(size);
  if (room.kind != Kind::kRoom) return false;
  CHECK(room.size >= size);
  std::memset(room.data, byte, size);
  RecordQueue::Entry entry;
  entry.records = room.data;
  entry.count = 1;
  entry.stride = ebpf::Batch::RoundUp(size);
  entry.size = size;
  queue.Publish(std::move(entry), size);
  return true;
}

/// Takes the front, which must be such a record; true when a writer that was refused may try again.
bool Get(RecordQueue& queue, size_t size, uint8_t byte) {
  const RecordQueue::Entry* const front = queue.Front();
  CHECK(front != nullptr && front->count == 1 && front->Size(0) == size);
  for (size_t i = 0; i < size; ++i) CHECK(front->records[i] == byte);
  return queue.Pop();
}

}  // namespace

TEST("a queue gives what was put into it, in its order, and is empty then") {
  RecordQueue queue(kLimit);
  CHECK(queue.empty() && queue.ringBytes() == 0);
  for (uint8_t i = 0; i < 100; ++i) CHECK(Put(queue, 20, i));
  CHECK(queue.ringBytes() == 100 * 32);
  for (uint8_t i = 0; i < 100; ++i) CHECK(!Get(queue, 20, i));
  CHECK(queue.empty() && queue.ringBytes() == 0);
}

TEST("a full queue refuses, keeps what it has, and says when there is room") {
  RecordQueue queue(kLimit);
  uint32_t count = 0;
  while (Put(queue, 1000, static_cast<uint8_t>(count))) ++count;
  // All of the limit but what is left of each slab.
  CHECK(count >= 60 && count <= 65);
  CHECK(!Put(queue, 1000, 0));
  uint32_t taken = 0;
  while (!Get(queue, 1000, static_cast<uint8_t>(taken++))) CHECK(taken < count);
  CHECK(Put(queue, 1000, static_cast<uint8_t>(count++)));
  while (taken < count) Get(queue, 1000, static_cast<uint8_t>(taken++));
  CHECK(queue.empty());
}

TEST("a record larger than the limit goes through alone") {
  RecordQueue queue(kLimit);
  CHECK(Put(queue, 10, 1));
  CHECK(!Put(queue, 2 * kLimit, 2));
  CHECK(Get(queue, 10, 1));
  CHECK(Put(queue, 2 * kLimit, 2));
  CHECK(!Put(queue, 1000, 3));
  CHECK(Get(queue, 2 * kLimit, 2));
  CHECK(Put(queue, 1000, 3));
  Get(queue, 1000, 3);
  CHECK(queue.empty());
}

TEST("a reader that keeps up is given the same memory again and again") {
  RecordQueue queue(kLimit);
  const uint8_t* const first = queue.Reserve(8).data;
  for (int i = 0; i < 10'000; ++i) {
    CHECK(queue.Reserve(1000).data == first);
    CHECK(Put(queue, 1000, 7));
    Get(queue, 1000, 7);
  }
}
