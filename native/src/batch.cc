#include "batch.h"

#include <algorithm>
#include <new>

namespace ebpf {

void Batch::SetBuffers(uint8_t* slab, size_t slabSize, int32_t* index, size_t capacity) {
  slab_ = slab;
  // Offsets are 32-bit in the index.
  slabSize_ = std::min<size_t>(slabSize, INT32_MAX) & ~size_t{7};
  index_ = index;
  capacity_ = std::min<size_t>(capacity, INT32_MAX);
  expectedSize_ = kNone;
  next_ = slab_;
  stride_ = size_ = count_ = room_ = 0;
}

bool Batch::Begin() {
  next_ = slab_;
  stride_ = size_ = count_ = room_ = 0;
  expectedSize_ = kNone;
  if (!held_) return capacity_ > 0;
  if (oversize() > 0 || capacity_ == 0) return false;
  held_ = false;
  const bool more = AppendOther(heldRecord_.get(), heldSize_) == kMore;
  // A large record is rare: do not keep its memory for ever.
  if (heldRoom_ > kHeldRoomKept) {
    heldRecord_.reset();
    heldRoom_ = 0;
  }
  return more;
}

/// A record that is not of the size expected: the first of a batch, or one that makes the batch mixed.
int Batch::AppendOther(const void* record, size_t size) noexcept {
  if (held_) {
    // Cannot come from libbpf, which stops at kFull.
    ++dropped_;
    return kFull;
  }
  if (count_ > 0) {
    if (!Fits(size)) return HoldBack(record, size);
    if (stride_ > 0) Index();
    return AppendIndexed(record, size);
  }
  if (!Fits(size)) return HoldBack(record, size);
  const size_t stride = RoundUp(size);
  // Nothing to step over in a record of no bytes.
  if (stride == 0) return AppendIndexed(record, size);
  size_ = size;
  stride_ = stride;
  room_ = static_cast<uint32_t>(std::min(capacity_, slabSize_ / stride));
  expectedSize_ = size;
  return Append(record, size);
}

/// Offsets and the slab's size are multiples of 8, so a record that fits does so with its padding.
bool Batch::Fits(size_t size) const noexcept {
  return count_ < capacity_ && size <= slabSize_ - static_cast<size_t>(next_ - slab_);
}

int Batch::AppendIndexed(const void* record, size_t size) noexcept {
  index_[2 * count_] = static_cast<int32_t>(next_ - slab_);
  index_[2 * count_ + 1] = static_cast<int32_t>(size);
  if (size > 0) std::memcpy(next_, record, size);
  next_ += RoundUp(size);
  ++count_;
  return count_ == capacity_ || next_ == slab_ + slabSize_ ? kFull : kMore;
}

/// Goes over from a stride to the index.
void Batch::Index() {
  for (uint32_t i = 0; i < count_; ++i) {
    index_[2 * i] = static_cast<int32_t>(i * stride_);
    index_[2 * i + 1] = static_cast<int32_t>(size_);
  }
  stride_ = size_ = 0;
  expectedSize_ = kNone;
}

int Batch::HoldBack(const void* record, size_t size) noexcept {
  if (heldRoom_ < size || !heldRecord_) {
    heldRecord_.reset(new (std::nothrow) uint8_t[std::max<size_t>(size, 1)]);
    heldRoom_ = heldRecord_ ? size : 0;
    if (!heldRecord_) {
      ++dropped_;
      return kFull;
    }
  }
  if (size > 0) std::memcpy(heldRecord_.get(), record, size);
  heldSize_ = size;
  held_ = true;
  return kFull;
}

}  // namespace ebpf
