#include "backward_property.h"

#include <cstring>
#include <memory>

#include "backward_ring.h"
#include "check.h"
#include "perf_record.h"

void CheckBackwardRing(const uint8_t* input, size_t size) {
  if (size < 10) return;
  uint64_t head;
  std::memcpy(&head, input, sizeof head);
  const size_t ringSize = size_t{64} << input[8] % 7;
  input += 9;
  size -= 9;
  std::unique_ptr<uint64_t[]> words(new uint64_t[ringSize / 8]());
  auto* const ring = reinterpret_cast<uint8_t*>(words.get());
  std::memcpy(ring, input, size < ringSize ? size : ringSize);
  // Mostly where the kernel would be.
  if (input[0] % 4 != 0) head &= ~uint64_t{7};
  size_t seen = 0;
  ebpf::ReadBackwardRing(ring, ringSize, head, [&](const uint8_t* bytes, size_t length) {
    seen += length;
    CHECK(seen <= ringSize && length >= sizeof(perf_event_header));
    const ebpf::PerfRecord record = ebpf::ReadPerfRecord(reinterpret_cast<const perf_event_header*>(bytes));
    if (record.kind == ebpf::PerfRecord::Kind::kSample) {
      CHECK(record.data >= bytes && record.data + record.size <= bytes + length);
      unsigned sum = 0;
      for (size_t i = 0; i < record.size; ++i) sum += record.data[i];
      CHECK(sum <= 255 * record.size);
    }
    return true;
  });
}
