#include "batch_property.h"

#include <deque>
#include <memory>

#include "batch.h"
#include "check.h"
#include "numbered_record.h"

namespace {

using ebpf::Batch;

/// A batch with its buffers, each allocated to the byte, so that a sanitizer sees one step too far.
class Rig {
 public:
  void SetBuffers(size_t slabSize, size_t capacity) {
    slab_.reset(new uint64_t[slabSize / 8]);
    index_.reset(new int32_t[capacity * 2]);
    slabSize_ = slabSize;
    capacity_ = capacity;
    batch_.SetBuffers(reinterpret_cast<uint8_t*>(slab_.get()), slabSize, index_.get(), capacity);
  }

  /// What libbpf does: hands over records until told to stop.
  void Fill(const uint8_t* sizes, size_t count) {
    if (!batch_.Begin()) {
      Verify();
      return;
    }
    for (size_t i = 0; i < count; ++i) {
      // Few sizes, so that runs of one size are common; some larger than any slab; none at all.
      static constexpr size_t kSizes[] = {8, 32, 32, 24, 1, 13, 64, 0, 100, 512, 2048, 5000, 40, 48, 56, 16};
      const size_t size = kSizes[sizes[i] % 16];
      std::unique_ptr<uint8_t[]> record(new uint8_t[size]);
      WriteRecord(record.get(), produced_, size);
      expected_.push_back({produced_++, size});
      if (batch_.Append(record.get(), size) != Batch::kMore) break;
    }
    Verify();
  }

  /// Everything still held back comes out once there is room.
  void Finish() {
    SetBuffers(8192, 4);
    for (int i = 0; i < 2; ++i) Fill(nullptr, 0);
    CHECK(!batch_.holds());
    CHECK(expected_.empty());
    CHECK(batch_.dropped() == 0);
  }

 private:
  struct Record {
    uint32_t number;
    size_t size;
  };

  void Verify() {
    CHECK(batch_.count() <= capacity_);
    for (uint32_t i = 0; i < batch_.count(); ++i) {
      const size_t offset = batch_.stride() > 0 ? i * batch_.stride() : static_cast<size_t>(index_[2 * i]);
      const size_t size = batch_.stride() > 0 ? batch_.size() : static_cast<size_t>(index_[2 * i + 1]);
      CHECK(!expected_.empty());
      const Record record = expected_.front();
      expected_.pop_front();
      CHECK(size == record.size);
      CHECK(offset % 8 == 0);
      CHECK(offset + size <= slabSize_);
      CheckRecord(reinterpret_cast<const uint8_t*>(slab_.get()) + offset, size, record.number);
    }
    CHECK(expected_.size() == (batch_.holds() ? 1u : 0u));
    if (batch_.holds()) {
      CHECK((batch_.oversize() > 0) == (expected_.front().size > slabSize_));
      CHECK(batch_.oversize() == 0 || batch_.oversize() == expected_.front().size);
    }
  }

  Batch batch_;
  std::unique_ptr<uint64_t[]> slab_;
  std::unique_ptr<int32_t[]> index_;
  size_t slabSize_ = 0;
  size_t capacity_ = 0;
  uint32_t produced_ = 0;
  std::deque<Record> expected_;
};

}  // namespace

void CheckBatch(const uint8_t* input, size_t size) {
  Rig rig;
  rig.SetBuffers(256, 8);
  while (size > 0) {
    const uint8_t step = *input++;
    --size;
    if (step % 8 == 0 && size >= 2) {
      rig.SetBuffers(size_t{input[0]} * 8, input[1] % 20);
      input += 2;
      size -= 2;
    } else {
      const size_t count = step < size ? step : size;
      rig.Fill(input, count);
      input += count;
      size -= count;
    }
  }
  rig.Finish();
}
