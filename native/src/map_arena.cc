// Arenas: memory that programs and this process share by its addresses.
#include <bpf/bpf.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "arguments.h"
#include "map.h"
#include "perform.h"

namespace ebpf {
namespace {

/// The kernel copies, so that an address which is not mapped, or a page that must not be touched, is an error and not a
/// SIGSEGV.
ssize_t Copy(uint64_t address, const Span& local, bool write) {
  const iovec here{local.data, local.size};
  const iovec there{reinterpret_cast<void*>(address), local.size};
  const auto call = write ? process_vm_writev : process_vm_readv;
  const ssize_t copied = call(getpid(), &here, 1, &there, 1, 0);
  if (copied < 0) return -errno;
  return static_cast<size_t>(copied) == local.size ? copied : -EFAULT;
}

}  // namespace

void Mapping::Close() {
  if (address_ != nullptr) munmap(address_, size_);
  address_ = nullptr;
}

int Mapping::Open(int fd, uint64_t address, size_t size) {
  const int fixed = address == 0 ? 0 : MAP_FIXED_NOREPLACE;
  void* const memory = mmap(reinterpret_cast<void*>(address), size, PROT_READ | PROT_WRITE, MAP_SHARED | fixed, fd, 0);
  if (memory == MAP_FAILED) return -errno;
  address_ = memory;
  size_ = size;
  return 0;
}

Napi::Value Map::MapArena(const Napi::CallbackInfo& info) {
  const auto [address, size] = Arguments<Unsigned64, Number<uint64_t>>(info);
  const int fd = Use(info.Env(), "mmap");
  Perform(info.Env(), "mmap", [&, address = address, size = size] { return arena_.Open(fd, address, size); });
  return Napi::BigInt::New(info.Env(), arena_.Address());
}

void Map::ReadMemory(const Napi::CallbackInfo& info) {
  const auto [address, target] = Arguments<Unsigned64, Bytes>(info);
  Use(info.Env(), "process_vm_readv");
  Perform(info.Env(), "process_vm_readv",
          [address = address, target = target] { return static_cast<int>(Copy(address, target, false)); });
}

void Map::WriteMemory(const Napi::CallbackInfo& info) {
  const auto [address, source] = Arguments<Unsigned64, Bytes>(info);
  Use(info.Env(), "process_vm_writev");
  Perform(info.Env(), "process_vm_writev",
          [address = address, source = source] { return static_cast<int>(Copy(address, source, true)); });
}

}  // namespace ebpf
