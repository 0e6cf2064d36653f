#include "perf_record.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>

#include "check.h"

using ebpf::PerfRecord;
using ebpf::ReadPerfRecord;

namespace {

/// A record that is allocated to the byte of what its header says, so that a sanitizer sees one step too far.
std::unique_ptr<uint8_t[]> Make(uint32_t type, uint16_t size, const void* body, size_t bodySize) {
  const size_t room = size < sizeof(perf_event_header) ? sizeof(perf_event_header) : size;
  std::unique_ptr<uint8_t[]> bytes(new uint8_t[room]());
  const perf_event_header header = {type, 0, size};
  std::memcpy(bytes.get(), &header, sizeof header);
  if (room > sizeof header) std::memcpy(bytes.get() + sizeof header, body, std::min(bodySize, room - sizeof header));
  return bytes;
}

PerfRecord Read(const std::unique_ptr<uint8_t[]>& bytes) {
  return ReadPerfRecord(reinterpret_cast<const perf_event_header*>(bytes.get()));
}

}  // namespace

TEST("a sample is its bytes behind their length") {
  const struct {
    uint32_t length = 12;
    uint8_t data[12] = {1, 2, 3};
  } body;
  const auto bytes = Make(PERF_RECORD_SAMPLE, 24, &body, sizeof body);
  const PerfRecord record = Read(bytes);
  CHECK(record.kind == PerfRecord::Kind::kSample && record.size == 12);
  CHECK(record.data == bytes.get() + 12 && record.data[2] == 3);
}

TEST("a loss is a count") {
  const uint64_t body[2] = {77, 5};
  const PerfRecord record = Read(Make(PERF_RECORD_LOST, 24, body, sizeof body));
  CHECK(record.kind == PerfRecord::Kind::kLost && record.lost == 5);
}

TEST("records that contradict themselves are nothing") {
  const uint32_t tooLong = 13;
  CHECK(Read(Make(PERF_RECORD_SAMPLE, 24, &tooLong, sizeof tooLong)).kind == PerfRecord::Kind::kOther);
  CHECK(Read(Make(PERF_RECORD_SAMPLE, 10, &tooLong, sizeof tooLong)).kind == PerfRecord::Kind::kOther);
  CHECK(Read(Make(PERF_RECORD_SAMPLE, 0, nullptr, 0)).kind == PerfRecord::Kind::kOther);
  CHECK(Read(Make(PERF_RECORD_LOST, 16, &tooLong, sizeof tooLong)).kind == PerfRecord::Kind::kOther);
  CHECK(Read(Make(PERF_RECORD_THROTTLE, 24, &tooLong, sizeof tooLong)).kind == PerfRecord::Kind::kOther);
}

TEST("whatever a record says of itself, nothing is read outside of it") {
  std::mt19937 random(1);
  uint8_t body[64];
  for (int round = 0; round < 100'000; ++round) {
    for (uint8_t& byte : body) byte = static_cast<uint8_t>(random() % 4 == 0 ? random() : 0);
    const auto size = static_cast<uint16_t>(random() % 64);
    const auto bytes = Make(random() % 2 == 0 ? PERF_RECORD_SAMPLE : PERF_RECORD_LOST, size, body, sizeof body);
    const PerfRecord record = Read(bytes);
    if (record.kind != PerfRecord::Kind::kSample) continue;
    CHECK(record.data >= bytes.get() + sizeof(perf_event_header) && record.data + record.size <= bytes.get() + size);
    CHECK(std::memcmp(record.data, body + sizeof(uint32_t), record.size) == 0);
  }
}
