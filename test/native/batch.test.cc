#include "batch.h"

#include <array>
#include <random>
#include <vector>

#include "batch_property.h"
#include "check.h"

using ebpf::Batch;

namespace {

struct Buffers {
  alignas(8) std::array<uint8_t, 256> slab{};
  std::array<int32_t, 16> index{};

  Buffers() { index.fill(-1); }
  void Give(Batch& batch) { batch.SetBuffers(slab.data(), slab.size(), index.data(), index.size() / 2); }
};

const std::vector<uint8_t> kRecord(1024, 0x5a);

}  // namespace

TEST("records of one size lie at a stride, without an index") {
  Buffers buffers;
  Batch batch;
  buffers.Give(batch);
  CHECK(batch.Begin());
  for (int i = 0; i < 3; ++i) CHECK(batch.Append(kRecord.data(), 12) == Batch::kMore);
  CHECK(batch.count() == 3 && batch.stride() == 16 && batch.size() == 12);
  CHECK(buffers.index[0] == -1);
  CHECK(buffers.slab[16] == 0x5a && buffers.slab[28] == 0);
}

TEST("a record of another size brings the index, for the earlier ones too") {
  Buffers buffers;
  Batch batch;
  buffers.Give(batch);
  batch.Begin();
  batch.Append(kRecord.data(), 12);
  batch.Append(kRecord.data(), 12);
  CHECK(batch.Append(kRecord.data(), 40) == Batch::kMore);
  CHECK(batch.Append(kRecord.data(), 12) == Batch::kMore);
  CHECK(batch.count() == 4 && batch.stride() == 0);
  const std::array<int32_t, 9> expected = {0, 12, 16, 12, 32, 40, 72, 12, -1};
  for (size_t i = 0; i < expected.size(); ++i) CHECK(buffers.index[i] == expected[i]);
}

TEST("a full slab stops the reader on the record that fills it, and holds nothing back") {
  Buffers buffers;
  Batch batch;
  buffers.Give(batch);
  batch.Begin();
  for (int i = 0; i < 3; ++i) CHECK(batch.Append(kRecord.data(), 64) == Batch::kMore);
  CHECK(batch.Append(kRecord.data(), 64) == Batch::kFull);
  CHECK(batch.count() == 4 && !batch.holds());
}

TEST("the index bounds the records of a batch") {
  Buffers buffers;
  Batch batch;
  buffers.Give(batch);
  batch.Begin();
  for (int i = 0; i < 7; ++i) CHECK(batch.Append(kRecord.data(), 8) == Batch::kMore);
  CHECK(batch.Append(kRecord.data(), 8) == Batch::kFull);
  CHECK(batch.count() == 8);
}

TEST("a record without room is held back and comes first in the next batch; the batch it missed stays uniform") {
  Buffers buffers;
  Batch batch;
  buffers.Give(batch);
  batch.Begin();
  for (int i = 0; i < 5; ++i) batch.Append(kRecord.data(), 32);
  CHECK(batch.Append(kRecord.data(), 120) == Batch::kFull);
  CHECK(batch.count() == 5 && batch.stride() == 32 && batch.holds() && batch.oversize() == 0);
  CHECK(batch.Begin());
  CHECK(batch.count() == 1 && batch.size() == 120 && !batch.holds());
}

TEST("a record larger than the slab waits for a larger slab") {
  Buffers buffers;
  Batch batch;
  buffers.Give(batch);
  batch.Begin();
  CHECK(batch.Append(kRecord.data(), 1000) == Batch::kFull);
  CHECK(batch.count() == 0 && batch.oversize() == 1000);
  CHECK(!batch.Begin());
  CHECK(batch.count() == 0 && batch.oversize() == 1000);
  alignas(8) std::array<uint8_t, 1024> larger;
  batch.SetBuffers(larger.data(), larger.size(), buffers.index.data(), 8);
  CHECK(batch.oversize() == 0);
  // It fills the slab: there is no room for a second one.
  CHECK(!batch.Begin());
  CHECK(batch.count() == 1 && batch.size() == 1000 && larger[999] == 0x5a);
}

TEST("records without bytes are counted") {
  Buffers buffers;
  Batch batch;
  buffers.Give(batch);
  batch.Begin();
  CHECK(batch.Append(kRecord.data(), 0) == Batch::kMore);
  CHECK(batch.Append(kRecord.data(), 8) == Batch::kMore);
  CHECK(batch.count() == 2 && batch.stride() == 0);
  CHECK(buffers.index[1] == 0 && buffers.index[2] == 0 && buffers.index[3] == 8);
}

TEST("without buffers nothing is written") {
  Batch batch;
  CHECK(!batch.Begin());
  batch.SetBuffers(nullptr, 0, nullptr, 0);
  CHECK(!batch.Begin());
}

TEST("whatever comes, each record arrives whole, once and in order") {
  std::mt19937 random(1);
  std::vector<uint8_t> input;
  for (int round = 0; round < 20'000; ++round) {
    input.resize(random() % 200);
    // Mostly one size, as rings are.
    const uint8_t usual = static_cast<uint8_t>(random());
    for (uint8_t& byte : input) byte = random() % 4 == 0 ? static_cast<uint8_t>(random()) : usual;
    CheckBatch(input.data(), input.size());
  }
}
