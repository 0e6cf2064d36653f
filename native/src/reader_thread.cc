#include "reader_thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "blocked_signals.h"

namespace ebpf {
namespace {
constexpr size_t kMostRecords = 8192;
/// What is left of a slab below this is left.
constexpr size_t kLeastRoom = 4096;
/// As much left behind says that the producers are ahead of a thread that looks by time.
constexpr uint64_t kBehind = 64 * 1024;
constexpr int kLongestBackOff = 50;

void Clear(int eventFd) {
  eventfd_t count;
  eventfd_read(eventFd, &count);
}
}  // namespace

int ReaderThread::Open(std::unique_ptr<RecordSource> source, const ThreadSettings& settings,
                       std::unique_ptr<RecordSource>& out) {
  std::unique_ptr<ReaderThread> self(new ReaderThread(std::move(source), settings));
  const int error = self->Start();
  if (error == 0) out = std::move(self);
  return error;
}

int ReaderThread::Start() {
  index_.resize(2 * kMostRecords);
  filled_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  control_.Reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
  if (!filled_.IsOpen() || !control_.IsOpen() || !epoll_.IsOpen()) return -errno;
  // Added once and for all, not asked by poll(2): a ring that fills without a wake-up is then not found readable, and
  // the records wait until they are as many as were asked for.
  for (const int fd : {control_.Get(), source_->PollFd()}) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll_.Get(), EPOLL_CTL_ADD, fd, &event) != 0) return -errno;
  }
  // The thread inherits it: signals are the other threads' business.
  const BlockedSignals all;
  try {
    thread_ = std::thread([this] { Run(); });
    pthread_setname_np(thread_.native_handle(), "ebpf-reader");
  } catch (const std::system_error& failure) {
    return -failure.code().value();
  }
  return 0;
}

ReaderThread::~ReaderThread() {
  ending_ = true;
  Wake();
  if (thread_.joinable()) thread_.join();
}

void ReaderThread::ReadAhead(bool on) {
  if (ahead_.exchange(on) != on) Wake();
}

void ReaderThread::Run() {
  int backOff = 0;
  bool told = false;
  while (!ending_) {
    if (!ahead_) {
      Rest(-1);
      continue;
    }
    const Step step = Read();
    if (step == Step::kRead) {
      backOff = 0;
      told = false;
      if (!settings_.watches && !Behind()) Rest(settings_.milliseconds);
    } else if (step == Step::kFull || step == Step::kFailed) {
      Rest(-1);
    } else if (step == Step::kNoMemory || told) {
      // Told, and yet nothing: the first record is reserved and not committed, and watching would spin until it is.
      backOff = std::clamp(backOff * 2, 1, kLongestBackOff);
      told = false;
      Rest(backOff);
    } else if (settings_.watches) {
      told = RestOrWatch(settings_.milliseconds);
    } else {
      Rest(settings_.milliseconds);
    }
  }
}

ReaderThread::Step ReaderThread::Read() {
  const std::lock_guard lock(reading_);
  Batch& batch = source_->batch();
  const RecordQueue::Room room = queue_.Reserve(std::max(kLeastRoom, Batch::RoundUp(batch.oversize())));
  if (room.kind == RecordQueue::Room::Kind::kFull) return Step::kFull;
  if (room.kind == RecordQueue::Room::Kind::kNoMemory) return Step::kNoMemory;
  batch.SetBuffers(room.data, room.size, index_.data(), kMostRecords);
  const uint64_t before = source_->Consumed();
  const int error = source_->Fill();
  if (const uint32_t count = batch.count(); count > 0 || source_->Lost() > 0) {
    RecordQueue::Entry entry;
    entry.records = room.data;
    entry.count = count;
    entry.stride = batch.stride();
    entry.size = batch.size();
    if (entry.stride == 0) entry.index.assign(index_.begin(), index_.begin() + 2 * count);
    entry.cpu = source_->Cpu();
    entry.lost = source_->Lost();
    const size_t bytes = count == 0 ? 0 : entry.Offset(count - 1) + entry.Size(count - 1);
    queue_.Publish(std::move(entry), bytes);
    Signal();
  } else if (source_->Consumed() != before) {
    // Only records that were discarded: that is how a BPF program says that it lost one larger than the ring.
    Signal();
  }
  if (error != 0) {
    RecordQueue::Entry entry;
    entry.error = error;
    queue_.Publish(std::move(entry), 0);
    Signal();
    // A ring that was tampered with stays as it is.
    if (error == -EBADMSG) return Step::kFailed;
  }
  // Discarded records are progress too, and so is a record that wants more room.
  return source_->Consumed() != before || batch.count() > 0 || batch.oversize() > 0 ? Step::kRead : Step::kNothing;
}

bool ReaderThread::Behind() const {
  const std::lock_guard lock(reading_);
  return source_->Available() >= kBehind;
}

int ReaderThread::Fill() {
  lost_ = 0;
  // A record held back is of the CPU that the last batch was of.
  if (!batch_.Begin()) return 0;
  const uint64_t dropped = batch_.dropped();
  int error = 0;
  for (bool looked = false;;) {
    const RecordQueue::Entry* const front = queue_.Front();
    if (front == nullptr) {
      // In this order: what comes in between signals anew.
      Clear(filled_.Get());
      signalled_ = false;
      if (!queue_.empty()) continue;
      if (looked || batch_.count() > 0) break;
      looked = true;
      Read();
    } else if (front->error != 0) {
      // In its place: after the records that came before it.
      if (batch_.count() > 0) break;
      error = front->error;
      PopFront();
      break;
    } else {
      if ((batch_.count() > 0 || lost_ > 0) && front->cpu != cpu_) break;
      if (!Take(*front)) break;
    }
  }
  if (!queue_.empty()) Signal();
  return batch_.dropped() != dropped ? -ENOMEM : error;
}

bool ReaderThread::Take(const RecordQueue::Entry& entry) {
  cpu_ = entry.cpu;
  if (next_ == 0) lost_ += entry.lost;
  bool more = true;
  while (more && next_ < entry.count) {
    const uint32_t i = next_++;
    takenOfFront_ += entry.RingBytes(i);
    more = batch_.Append(entry.records + entry.Offset(i), entry.Size(i)) == Batch::kMore;
  }
  if (next_ == entry.count) PopFront();
  return more;
}

void ReaderThread::PopFront() {
  ++taken_;
  next_ = 0;
  takenOfFront_ = 0;
  if (queue_.Pop()) Wake();
}

uint64_t ReaderThread::Available() const {
  const std::lock_guard lock(reading_);
  return source_->Unread() + queue_.ringBytes() - takenOfFront_;
}

void ReaderThread::Signal() {
  if (!signalled_.exchange(true)) eventfd_write(filled_.Get(), 1);
}

void ReaderThread::Wake() {
  eventfd_write(control_.Get(), 1);
}

void ReaderThread::Rest(int milliseconds) {
  pollfd control{control_.Get(), POLLIN, 0};
  if (poll(&control, 1, milliseconds) > 0) Clear(control_.Get());
}

bool ReaderThread::RestOrWatch(int milliseconds) {
  epoll_event events[2];
  const int count = epoll_wait(epoll_.Get(), events, 2, milliseconds);
  bool told = false;
  for (int i = 0; i < count; ++i) {
    if (events[i].data.fd == control_.Get()) {
      Clear(control_.Get());
    } else {
      told = true;
    }
  }
  return told;
}

}  // namespace ebpf
