#include "reader_thread.h"

#include <errno.h>
#include <poll.h>

#include <cstring>
#include <random>

#include "check.h"
#include "fake_ring.h"
#include "numbered_record.h"
#include "ring.h"
#include "source_reader.h"

namespace {

using ebpf::ReaderThread;
using ebpf::RecordSource;
using ebpf::Ring;

constexpr size_t kRingBytes = 4096;
constexpr size_t kQueueBytes = 64 * 1024;

/// The fake ring's descriptor cannot tell of records: the thread looks by itself.
std::unique_ptr<RecordSource> OpenThread(const FakeRing& ring) {
  std::unique_ptr<RecordSource> source;
  CHECK(Ring::Open(ring.fd(), source) == 0);
  ebpf::ThreadSettings settings;
  settings.bytes = kQueueBytes;
  settings.milliseconds = 1;
  CHECK(ReaderThread::Open(std::move(source), settings, source) == 0);
  return source;
}

/// Waits as the event loop does; false when nothing was told within the time.
bool WaitFor(RecordSource& source, int milliseconds) {
  pollfd filled{source.PollFd(), POLLIN, 0};
  return poll(&filled, 1, milliseconds) == 1;
}

bool Send(FakeRing& ring, uint32_t number, uint32_t size) {
  uint8_t* const record = ring.Reserve(size);
  if (record == nullptr) return false;
  WriteRecord(record, number, size);
  FakeRing::Commit(record, false);
  return true;
}

}  // namespace

TEST("a thread empties a ring while nobody asks, up to its limit; then the ring fills, and all of it is there") {
  FakeRing ring(kRingBytes);
  SourceReader reader(OpenThread(ring));
  reader.source().ReadAhead(true);
  uint32_t sent = 0;
  // Until the thread rests with a full queue, and the ring is full as well.
  for (int refused = 0; refused < 200;) {
    if (Send(ring, sent, 32)) {
      ++sent;
      refused = 0;
    } else {
      ++refused;
      poll(nullptr, 0, 1);
    }
  }
  CHECK(sent > 2 * kRingBytes / 40);
  // 32 bytes each in the queue, 40 in the ring.
  CHECK(sent <= kQueueBytes / 32 + kRingBytes / 40);
  CHECK(reader.source().Available() == uint64_t{sent} * 40);
  uint32_t next = 0;
  while (next < sent) {
    CHECK(WaitFor(reader.source(), 10'000));
    CHECK(reader.Fill([&](const uint8_t* bytes, size_t size) {
      CHECK(size == 32);
      CheckRecord(bytes, size, next++);
    }) == 0);
  }
  CHECK(!reader.pending() && !reader.source().Ready());
}

TEST("a thread that rests reads nothing, and what it did not read is found by who asks") {
  FakeRing ring(kRingBytes);
  SourceReader reader(OpenThread(ring));
  for (uint32_t number = 0; number < 5; ++number) CHECK(Send(ring, number, 100));
  CHECK(!WaitFor(reader.source(), 20));
  CHECK(reader.source().Available() == 5 * 112);
  uint32_t next = 0;
  CHECK(reader.Fill([&](const uint8_t* bytes, size_t size) { CheckRecord(bytes, size, next++); }) == 0);
  CHECK(next == 5 && !reader.pending());
  // Told so once, it reads.
  reader.source().ReadAhead(true);
  CHECK(Send(ring, 5, 100));
  CHECK(WaitFor(reader.source(), 10'000));
  CHECK(reader.Fill([&](const uint8_t* bytes, size_t size) { CheckRecord(bytes, size, next++); }) == 0);
  CHECK(next == 6);
}

TEST("records that a thread has read and nobody has taken go with it; what is in the ring stays there") {
  FakeRing ring(kRingBytes);
  {
    SourceReader reader(OpenThread(ring));
    reader.source().ReadAhead(true);
    for (uint32_t number = 0; number < 5; ++number) CHECK(Send(ring, number, 100));
    CHECK(WaitFor(reader.source(), 10'000));
  }
  CHECK(Send(ring, 5, 100));
  std::unique_ptr<RecordSource> source;
  CHECK(Ring::Open(ring.fd(), source) == 0);
  CHECK(source->Available() >= 112);
}

TEST("a ring that was tampered with is an error, after what was read before, whoever finds it") {
  for (const bool ahead : {false, true}) {
    FakeRing ring(kRingBytes);
    for (uint32_t number = 0; number < 3; ++number) CHECK(Send(ring, number, 32));
    ring.Scribble(120, 2 * kRingBytes);
    ring.SetProduced(160);
    SourceReader reader(OpenThread(ring));
    reader.source().ReadAhead(ahead);
    uint32_t next = 0;
    const auto take = [&](const uint8_t* bytes, size_t size) { CheckRecord(bytes, size, next++); };
    CHECK(!ahead || WaitFor(reader.source(), 10'000));
    CHECK(reader.Fill(take) == 0 && next == 3);
    CHECK(!ahead || WaitFor(reader.source(), 10'000));
    CHECK(reader.Fill(take) == -EBADMSG && next == 3);
  }
}

TEST("a producer, a thread that reads and one that takes: every record arrives whole, once and in order") {
  for (uint32_t seed = 1; seed <= 3; ++seed) {
    FakeRing ring(kRingBytes);
    SourceReader reader(OpenThread(ring));
    reader.source().ReadAhead(true);
    constexpr uint32_t kRecords = 20'000;
    std::thread producer([&] {
      for (uint32_t number = 0; number < kRecords;) {
        if (Send(ring, number, MixedSize(number, seed))) {
          ++number;
        } else {
          std::this_thread::yield();
        }
      }
    });
    std::mt19937 random(seed);
    uint32_t next = 0;
    while (next < kRecords) {
      if (random() % 4 == 0) WaitFor(reader.source(), 1);
      // In any state: the thread's, or whoever takes from an empty queue, reads on.
      if (random() % 64 == 0) reader.source().ReadAhead(random() % 4 != 0);
      reader.FillMixed(random, next, seed);
    }
    producer.join();
    CHECK(!reader.pending() && !reader.source().Ready());
  }
}
