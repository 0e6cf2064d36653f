#include "ring_property.h"

#include <atomic>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "check.h"
#include "fake_ring.h"
#include "ring.h"

namespace {

using ebpf::RecordSource;
using ebpf::Ring;

constexpr size_t kRingBytes = 4096;

uint8_t ByteOf(uint32_t record, size_t at) {
  return static_cast<uint8_t>(record * 31 + at * 7 + 1);
}

class Reader {
 public:
  explicit Reader(const FakeRing& ring) {
    CHECK(Ring::Open(ring.fd(), source_) == 0);
    SetBuffers(1024, 16);
  }

  /// Allocated to the byte, so that a sanitizer sees one step too far.
  void SetBuffers(size_t slabSize, size_t capacity) {
    slab_.reset(new uint64_t[slabSize / 8]);
    index_.reset(new int32_t[capacity * 2]);
    slabSize_ = slabSize;
    capacity_ = capacity;
    source_->batch().SetBuffers(reinterpret_cast<uint8_t*>(slab_.get()), slabSize, index_.get(), capacity);
  }

  /// Reads one batch and hands each record to `each`.
  template <typename Each>
  int Fill(Each&& each) {
    const int error = source_->Fill();
    source_->Available();
    const ebpf::Batch& batch = source_->batch();
    CHECK(batch.count() <= capacity_);
    for (uint32_t i = 0; i < batch.count(); ++i) {
      const size_t offset = batch.stride() > 0 ? i * batch.stride() : static_cast<size_t>(index_[2 * i]);
      const size_t size = batch.stride() > 0 ? batch.size() : static_cast<size_t>(index_[2 * i + 1]);
      CHECK(offset % 8 == 0 && offset + size <= slabSize_);
      each(reinterpret_cast<const uint8_t*>(slab_.get()) + offset, size);
    }
    return error;
  }

  bool pending() const { return source_->batch().holds() || source_->Available() > 0; }
  bool oversize() const { return source_->batch().oversize() > 0; }

 private:
  std::unique_ptr<RecordSource> source_;
  std::unique_ptr<uint64_t[]> slab_;
  std::unique_ptr<int32_t[]> index_;
  size_t slabSize_ = 0;
  size_t capacity_ = 0;
};

void Write(uint8_t* record, uint32_t number, uint32_t size) {
  for (uint32_t at = 0; at < size; ++at) record[at] = ByteOf(number, at);
}

void CheckContent(const uint8_t* bytes, size_t size, uint32_t number) {
  for (size_t at = 0; at < size; ++at) CHECK(bytes[at] == ByteOf(number, at));
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
  Reader reader(ring);
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
      CheckContent(bytes, size, sent.front().number);
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
        Write(record, number, size);
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
  Reader reader(ring);
  const auto sizeOf = [seed](uint32_t number) {
    const uint32_t mixed = (number ^ seed) * 2654435761u;
    // Runs of one size, and now and then one that fits no slab of ours.
    return mixed % 64 == 0 ? 2000 : mixed % 8 == 0 ? mixed % 300 : 32u;
  };
  std::thread producer([&] {
    for (uint32_t number = 0; number < records;) {
      uint8_t* const record = ring.Reserve(sizeOf(number));
      if (record == nullptr) {
        std::this_thread::yield();
        continue;
      }
      Write(record, number, sizeOf(number));
      FakeRing::Commit(record, false);
      ++number;
    }
  });
  std::mt19937 random(seed);
  uint32_t next = 0;
  while (next < records) {
    CHECK(reader.Fill([&](const uint8_t* bytes, size_t size) {
      CHECK(size == sizeOf(next));
      CheckContent(bytes, size, next++);
    }) == 0);
    if (reader.oversize()) reader.SetBuffers(4096, 16);
    if (random() % 64 == 0) reader.SetBuffers(256 + random() % 8 * 256, 1 + random() % 32);
  }
  producer.join();
  CHECK(!reader.pending());
}
