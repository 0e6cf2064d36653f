#include "ring_property.h"

#include <deque>
#include <memory>
#include <random>
#include <thread>

#include "check.h"
#include "fake_ring.h"
#include "numbered_record.h"
#include "ring.h"
#include "source_reader.h"

namespace {

using ebpf::RecordSource;
using ebpf::Ring;

constexpr size_t kRingBytes = 4096;

std::unique_ptr<RecordSource> OpenRing(const FakeRing& ring) {
  std::unique_ptr<RecordSource> source;
  CHECK(Ring::Open(ring.fd(), source) == 0);
  return source;
}

struct Sent {
  uint32_t number;
  uint32_t size;
};

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  uint8_t Byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  uint32_t Word() {
    uint32_t word = 0;
    for (int i = 0; i < 4; ++i) word = word << 8 | Byte();
    return word;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

}  // namespace

void CheckRing(const uint8_t* data, size_t dataSize) {
  Input input(data, dataSize);
  FakeRing ring(kRingBytes);
  SourceReader reader(OpenRing(ring));
  std::deque<Sent> sent;
  struct Open {
    uint8_t* record;
    bool discard;
  };
  std::deque<Open> open;
  uint32_t number = 0;
  bool honest = true;
  const auto fill = [&] {
    reader.Fill([&](const uint8_t* bytes, size_t size) {
      if (!honest) return;
      CHECK(!sent.empty() && sent.front().size == size);
      CheckRecord(bytes, size, sent.front().number);
      sent.pop_front();
    });
  };
  while (!input.empty()) {
    const uint8_t step = input.Byte();
    // Where positions are anything, there is no producing.
    if (!honest && step % 8 < 4) continue;
    switch (step % 8) {
      case 0:
      case 1:
      case 2: {
        static constexpr uint32_t kSizes[] = {32, 32, 32, 8, 1, 13, 0, 100, 512, 2000, 4080, 24, 40, 64, 65, 3000};
        const uint32_t size = kSizes[input.Byte() % 16];
        uint8_t* const record = ring.Reserve(size);
        if (record == nullptr) break;
        const bool discard = step & 8;
        WriteRecord(record, number, size);
        if (!discard) sent.push_back({number, size});
        ++number;
        if (step & 16) {
          open.push_back({record, discard});
        } else {
          FakeRing::Commit(record, discard);
        }
        break;
      }
      case 3:
        if (open.empty()) break;
        FakeRing::Commit(open.front().record, open.front().discard);
        open.pop_front();
        break;
      case 4:
      case 5:
        fill();
        break;
      case 6:
        reader.SetBuffers(size_t{input.Byte()} * 32, input.Byte() % 20);
        break;
      case 7:
        // From here on there is nothing to rely on but the bounds. Few inputs come here, so that honest ones are long.
        if (input.Byte() % 4 != 0) break;
        honest = false;
        open.clear();
        if (step & 8) ring.Scribble(input.Word(), input.Word());
        if (step & 16) ring.SetConsumed(input.Word());
        if (step & 32) ring.SetProduced(input.Word() % (1u << 20));
        break;
    }
  }
  if (!honest) {
    for (int i = 0; i < 4; ++i) fill();
    return;
  }
  for (const Open& left : open) FakeRing::Commit(left.record, left.discard);
  reader.SetBuffers(8192, 64);
  for (int i = 0; reader.pending(); ++i) {
    CHECK(i < 1000);
    fill();
  }
  CHECK(sent.empty());
}

void CheckConcurrentRing(uint32_t records, uint32_t seed) {
  FakeRing ring(kRingBytes);
  SourceReader reader(OpenRing(ring));
  std::thread producer([&] {
    for (uint32_t number = 0; number < records;) {
      uint8_t* const record = ring.Reserve(MixedSize(number, seed));
      if (record == nullptr) {
        std::this_thread::yield();
        continue;
      }
      WriteRecord(record, number, MixedSize(number, seed));
      FakeRing::Commit(record, false);
      ++number;
    }
  });
  std::mt19937 random(seed);
  uint32_t next = 0;
  while (next < records) {
    reader.FillMixed(random, next, seed);
  }
  producer.join();
  CHECK(!reader.pending());
}
