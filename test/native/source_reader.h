// Reads a source of records as the addon does: into a slab and an index, batch by batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <utility>

#include "check.h"
#include "numbered_record.h"
#include "record_source.h"

class SourceReader {
 public:
  explicit SourceReader(std::unique_ptr<ebpf::RecordSource> source) : source_(std::move(source)) {
    SetBuffers(1024, 16);
  }

  ebpf::RecordSource& source() { return *source_; }

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

  /// One batch of records of MixedSize from `next` on, into buffers that change at random.
  void FillMixed(std::mt19937& random, uint32_t& next, uint32_t seed) {
    CHECK(Fill([&](const uint8_t* bytes, size_t size) {
            CHECK(size == MixedSize(next, seed));
            CheckRecord(bytes, size, next++);
          }) == 0);
    if (oversize()) SetBuffers(4096, 16);
    if (random() % 64 == 0) SetBuffers(256 + random() % 8 * 256, 1 + random() % 32);
  }

  bool pending() const { return source_->Unread() > 0; }
  bool oversize() const { return source_->batch().oversize() > 0; }

 private:
  std::unique_ptr<ebpf::RecordSource> source_;
  std::unique_ptr<uint64_t[]> slab_;
  std::unique_ptr<int32_t[]> index_;
  size_t slabSize_ = 0;
  size_t capacity_ = 0;
};
