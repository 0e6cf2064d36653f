// A ring buffer without a kernel: memory laid out as kernel/bpf/ringbuf.c has it, which libbpf maps and reads as if it
// were a map's. The linker sends libbpf's calls here (--wrap), so that all but the kernel is the real thing.
#pragma once

#include <cstddef>
#include <cstdint>

/// One at a time.
class FakeRing {
 public:
  static constexpr uint32_t kBusy = 1u << 31;
  static constexpr uint32_t kDiscarded = 1u << 30;

  /// `bytes`: a power of two, and a multiple of the page size.
  explicit FakeRing(size_t bytes);
  ~FakeRing();
  FakeRing(const FakeRing&) = delete;
  FakeRing& operator=(const FakeRing&) = delete;

  int fd() const { return fd_; }

  /// As bpf_ringbuf_reserve: null where there is no room.
  uint8_t* Reserve(uint32_t size);
  /// As bpf_ringbuf_submit and bpf_ringbuf_discard.
  static void Commit(uint8_t* record, bool discard);

  /// What no kernel does.
  void SetProduced(uint64_t position);
  void SetConsumed(uint64_t position);
  void Scribble(size_t offset, uint32_t word);

 private:
  const size_t bytes_;
  int fd_ = -1;
  uint8_t* pages_ = nullptr;
};
