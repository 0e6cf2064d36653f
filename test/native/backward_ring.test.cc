#include "backward_ring.h"

#include <cstring>
#include <random>
#include <vector>

#include "backward_property.h"
#include "check.h"

namespace {

/// As the kernel does: each record in front of the one before, over what was there.
class Writer {
 public:
  explicit Writer(size_t size) : words_(size / 8) {}
  void Write(uint16_t length, uint8_t fill) {
    head_ -= length;
    std::vector<uint8_t> record(length, fill);
    const uint32_t type = 9;
    std::memcpy(record.data(), &type, sizeof type);
    std::memcpy(record.data() + 6, &length, sizeof length);
    for (size_t i = 0; i < length; ++i) data()[(head_ + i) & (size() - 1)] = record[i];
  }
  uint8_t* data() { return reinterpret_cast<uint8_t*>(words_.data()); }
  size_t size() const { return words_.size() * 8; }
  uint64_t head() const { return head_; }

 private:
  std::vector<uint64_t> words_;
  uint64_t head_ = 0;
};

}  // namespace

TEST("a backward ring gives the newest records first, as many as are whole") {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    Writer writer(size_t{64} << random() % 5);
    std::vector<std::pair<uint16_t, uint8_t>> written;
    const uint32_t count = random() % 40;
    for (uint32_t i = 0; i < count; ++i) {
      written.push_back({static_cast<uint16_t>(8 * (1 + random() % 7)), static_cast<uint8_t>(random())});
      writer.Write(written.back().first, written.back().second);
    }
    size_t at = written.size(), room = writer.size();
    ebpf::ReadBackwardRing(writer.data(), writer.size(), writer.head(), [&](const uint8_t* bytes, size_t length) {
      CHECK(at > 0 && written[--at].first == length && length <= room);
      room -= length;
      for (size_t i = 8; i < length; ++i) CHECK(bytes[i] == written[at].second);
      return true;
    });
    CHECK(at == 0 || written[at - 1].first > room);
  }
}

TEST("whatever is in a backward ring, nothing is read outside of it") {
  std::mt19937 random(2);
  std::vector<uint8_t> input;
  for (int round = 0; round < 20'000; ++round) {
    input.resize(random() % 300);
    for (uint8_t& byte : input) byte = static_cast<uint8_t>(random() % 3 == 0 ? random() % 64 : 0);
    CheckBackwardRing(input.data(), input.size());
  }
}
