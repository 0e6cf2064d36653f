// Gathers records from a ring into one slab, so that JavaScript is called once for many. Needs no Node.
//
// Most rings carry one type of record, and then no index is needed: record i lies at i * stride. As soon as a record of
// another size comes, the batch goes over to an index of (offset, length) pairs, the earlier records included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

namespace ebpf {

class Batch {
 public:
  /// What Append returns. libbpf stops reading at a negative value, and counts the record it was returned for as read.
  static constexpr int kMore = 0;
  static constexpr int kFull = -1;

  /// `slab` is aligned to 8 bytes; `index` has room for `capacity` pairs. What has been gathered so far is forgotten,
  /// except for a record held back.
  void SetBuffers(uint8_t* slab, size_t slabSize, int32_t* index, size_t capacity);

  /// Starts a batch. A record held back by the last one goes first. False when there is no room for more: that record
  /// fills the batch, or does not fit at all.
  bool Begin();

  /// Takes one record. Inline as far as the common case goes: this runs once per record.
  int Append(const void* record, size_t size) noexcept {
    if (size != expectedSize_) return AppendOther(record, size);
    Copy(next_, record, size);
    next_ += stride_;
    if (++count_ < room_) return kMore;
    expectedSize_ = kNone;
    return kFull;
  }

  uint32_t count() const { return count_; }
  /// 0 when the records are to be found by the index.
  size_t stride() const { return stride_; }
  /// Of each record, where stride is not 0.
  size_t size() const { return size_; }

  /// A record has been read that this batch had no room for; the next one starts with it.
  bool holds() const { return held_; }
  size_t heldSize() const { return held_ ? heldSize_ : 0; }
  /// Size of the held record when it is larger than the whole slab, else 0.
  size_t oversize() const { return held_ && heldSize_ > slabSize_ ? heldSize_ : 0; }
  /// Records that were lost because there was no memory to hold them back.
  uint64_t dropped() const { return dropped_; }

  static constexpr size_t RoundUp(size_t size) { return (size + 7) & ~size_t{7}; }

 private:
  static constexpr size_t kNone = SIZE_MAX;
  static constexpr size_t kHeldRoomKept = 64 * 1024;

  /// Fixed sizes let the compiler use a few vector moves in place of a call to memcpy.
  static void Copy(uint8_t* to, const void* from, size_t size) noexcept {
    switch (size) {
      case 8:
        std::memcpy(to, from, 8);
        break;
      case 16:
        std::memcpy(to, from, 16);
        break;
      case 24:
        std::memcpy(to, from, 24);
        break;
      case 32:
        std::memcpy(to, from, 32);
        break;
      case 40:
        std::memcpy(to, from, 40);
        break;
      case 48:
        std::memcpy(to, from, 48);
        break;
      case 56:
        std::memcpy(to, from, 56);
        break;
      case 64:
        std::memcpy(to, from, 64);
        break;
      case 36:
        // As a perf buffer pads 32 and 36 bytes: to a multiple of 8, less 4.
        std::memcpy(to, from, 36);
        break;
      case 44:
        std::memcpy(to, from, 44);
        break;
      case 52:
        std::memcpy(to, from, 52);
        break;
      case 60:
        std::memcpy(to, from, 60);
        break;
      default:
        std::memcpy(to, from, size);
    }
  }

  int AppendOther(const void* record, size_t size) noexcept;
  int AppendIndexed(const void* record, size_t size) noexcept;
  bool Fits(size_t size) const noexcept;
  int HoldBack(const void* record, size_t size) noexcept;
  void Index();

  // In the order of use, together on one cache line.
  size_t expectedSize_ = kNone;
  uint8_t* next_ = nullptr;
  size_t stride_ = 0;
  uint32_t count_ = 0;
  uint32_t room_ = 0;
  size_t size_ = 0;
  uint8_t* slab_ = nullptr;
  size_t slabSize_ = 0;
  int32_t* index_ = nullptr;
  size_t capacity_ = 0;

  bool held_ = false;
  size_t heldSize_ = 0;
  size_t heldRoom_ = 0;
  std::unique_ptr<uint8_t[]> heldRecord_;
  uint64_t dropped_ = 0;
};

}  // namespace ebpf
