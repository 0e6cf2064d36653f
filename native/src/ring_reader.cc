#include "ring_reader.h"

#include <errno.h>

#include <algorithm>
#include <utility>

#include "arguments.h"
#include "perf.h"
#include "perform.h"
#include "reader_thread.h"
#include "ring.h"

namespace ebpf {
namespace {
constexpr uint64_t kLongestBackOff = 50;
}  // namespace

Napi::Function RingReader::Define(Napi::Env env) {
  return DefineClass(env, "RingReader",
                     {
                         InstanceMethod<&RingReader::Start>("start"),
                         InstanceMethod<&RingReader::Stop>("stop"),
                         InstanceMethod<&RingReader::ReadAhead>("readAhead"),
                         InstanceMethod<&RingReader::Fill>("fill"),
                         InstanceMethod<&RingReader::SetBuffers>("setBuffers"),
                         InstanceMethod<&RingReader::Available>("available"),
                         InstanceMethod<&RingReader::Ref>("ref"),
                         InstanceMethod<&RingReader::Unref>("unref"),
                         InstanceMethod<&RingReader::Close>("close"),
                     });
}

RingReader::RingReader(const Napi::CallbackInfo& info) : Held<RingReader>(info), env_(info.Env()) {
  const auto [options] = Arguments<Options>(info);
  const int fd = Option<Number<int>>(options, "mapFd");
  const auto slab = Option<Memory>(options, "slab");
  const auto index = Option<Integers>(options, "index");
  const auto report = Option<Doubles>(options, "report");
  onReady_ = Napi::Persistent(Option<Callable>(options, "onReady"));

  if (Option<Flag>(options, "exclusive")) Perform(env_, "bind", [&, fd = fd] { return lock_.Take(fd); });
  if (const auto perf = Option<Optional<Options>>(options, "perf")) {
    PerfSettings settings;
    settings.pages = Option<Number<uint32_t>>(*perf, "pages");
    settings.wakeupEvents = Option<Number<uint32_t>>(*perf, "wakeupEvents");
    settings.wakeupBytes = Option<Number<uint32_t>>(*perf, "wakeupBytes");
    Perform(env_, "perf_buffer__new_raw", [&, fd = fd] { return Perf::Open(fd, settings, ring_); });
  } else {
    Perform(env_, "ring_buffer__new", [&, fd = fd] { return Ring::Open(fd, ring_); });
  }
  if (const auto thread = Option<Optional<Options>>(options, "thread")) {
    ThreadSettings settings;
    settings.bytes = Option<Number<uint32_t>>(*thread, "bytes");
    settings.milliseconds = Option<Number<int>>(*thread, "milliseconds");
    settings.watches = Option<Flag>(*thread, "watches");
    Perform(env_, "pthread_create", [&] { return ReaderThread::Open(std::move(ring_), settings, ring_); });
  }
  BindBuffers(slab, index);
  report_ = Napi::Persistent(report);
  reportData_ = report_.Value().Data();

  napi_value name = nullptr;
  napi_create_string_utf8(env_, "ebpf.RingReader", NAPI_AUTO_LENGTH, &name);
  if (napi_async_init(env_, info.This(), name, &asyncContext_) != napi_ok)
    ThrowFailure(env_, ECANCELED, "napi_async_init");

  Environment& environment = Environment::Of(env_);
  const int error = Poller::Open(
      environment, ring_->PollFd(), [](void* self) { static_cast<RingReader*>(self)->OnReady(); }, this, &poller_);
  if (error != 0) {
    napi_async_destroy(env_, asyncContext_);
    ThrowFailure(env_, -error, "uv_poll_init");
  }
  Hold(environment.readers);
}

RingReader::~RingReader() = default;

void RingReader::Use(napi_env env, const char* operation) const {
  if (!ring_) ThrowFailure(env, EBADF, operation);
}

void RingReader::BindBuffers(Napi::ArrayBuffer slab, Napi::Int32Array index) {
  slab_ = Napi::Persistent(slab);
  index_ = Napi::Persistent(index);
  ring_->batch().SetBuffers(static_cast<uint8_t*>(slab.Data()), slab.ByteLength(), index.Data(),
                            index.ElementLength() / 2);
}

void RingReader::Start(const Napi::CallbackInfo& info) {
  Use(info.Env(), "uv_poll_start");
  if (started_) return;
  started_ = true;
  backOff_ = 0;
  const int error = Await();
  if (error == 0) return;
  started_ = false;
  ThrowFailure(info.Env(), -error, "uv_poll_start");
}

void RingReader::Stop(const Napi::CallbackInfo& info) {
  Use(info.Env(), "uv_poll_stop");
  started_ = false;
  poller_->Rest();
}

void RingReader::ReadAhead(const Napi::CallbackInfo& info) {
  Use(info.Env(), "eventfd_write");
  const auto [on] = Arguments<Flag>(info);
  ring_->ReadAhead(on);
}

Napi::Value RingReader::Fill(const Napi::CallbackInfo& info) {
  Use(info.Env(), "ring_buffer__consume");
  if (const int error = FillBatch(); error != 0) {
    if (error == -EBADMSG) {
      // Whatever lies there now, these are no records.
      started_ = false;
      poller_->Rest();
    }
    // Memory for a record held back, or a ring that was tampered with.
    ThrowFailure(info.Env(), -error, "ring_buffer__consume");
  }
  if (!turning_ && started_) Await();
  return Napi::Number::New(info.Env(), ring_->batch().count());
}

int RingReader::FillBatch() {
  int error = std::exchange(error_, 0);
  if (error == 0) error = ring_->Fill();
  const Batch& batch = ring_->batch();
  if (error != 0 && (batch.count() > 0 || ring_->Lost() > 0)) {
    // These first: the next call fails.
    error_ = std::exchange(error, 0);
  }
  if (error != 0) {
    reportData_[3] = reportData_[4] = 0;
    return error;
  }
  const bool more = error_ != 0 || batch.holds() || ring_->Ready();
  // Report in lib/native.ts.
  reportData_[0] = static_cast<double>(batch.stride());
  reportData_[1] = static_cast<double>(batch.size());
  reportData_[2] = ring_->Cpu();
  reportData_[3] = static_cast<double>(ring_->Lost());
  reportData_[4] = static_cast<double>(batch.oversize());
  reportData_[5] = more ? 1 : 0;
  filled_ |= batch.count() > 0;
  return 0;
}

void RingReader::SetBuffers(const Napi::CallbackInfo& info) {
  Use(info.Env(), "setBuffers");
  const auto [slab, index] = Arguments<Memory, Integers>(info);
  BindBuffers(slab, index);
  if (!turning_ && started_ && ring_->batch().holds()) Await();
}

Napi::Value RingReader::Available(const Napi::CallbackInfo& info) {
  Use(info.Env(), "ring__avail_data_size");
  return Napi::Number::New(info.Env(), static_cast<double>(ring_->Unread()));
}

void RingReader::Ref(const Napi::CallbackInfo& info) {
  Use(info.Env(), "uv_ref");
  poller_->Ref();
}

void RingReader::Unref(const Napi::CallbackInfo& info) {
  Use(info.Env(), "uv_unref");
  poller_->Unref();
}

void RingReader::Close(const Napi::CallbackInfo&) {
  CloseWithEnvironment();
}

void RingReader::CloseWithEnvironment() noexcept {
  if (!ring_) return;
  started_ = false;
  poller_->Close();
  poller_ = nullptr;
  ring_.reset();
  napi_async_destroy(env_, asyncContext_);
  asyncContext_ = nullptr;
  slab_.Reset();
  index_.Reset();
  report_.Reset();
  onReady_.Reset();
  lock_ = ReaderLock();
  LetGo();
}

void RingReader::OnReady() {
  if (Environment::Of(env_).ending() || !started_) return;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  // A handler may close this reader, and from then on only this handle keeps it from the garbage collector.
  napi_value self;
  napi_get_reference_value(env_, *this, &self);
  const uint64_t before = ring_->Consumed();
  filled_ = false;
  turning_ = true;
  // Here and not when JavaScript asks for it: there and back would take microseconds, with the event waiting.
  const int error = FillBatch();
  // Whoever asks for the next batch is told.
  if (error != 0) error_ = error;
  Tell(ring_->batch().count());
  turning_ = false;
  if (ring_ && started_) Rearm(filled_ || ring_->Consumed() != before);
  napi_close_handle_scope(env_, scope);
}

int RingReader::Await() {
  // A record held back is not in the ring any more: when it is the last one, nothing else wakes us for it.
  if (error_ != 0 || (ring_->batch().holds() && !ring_->Ready())) {
    poller_->Wait(0);
    return 0;
  }
  const bool anew = !poller_->watching();
  const int error = poller_->Watch();
  if (error != 0 || ring_->StaysReadable()) return error;
  // A perf buffer says but once that it is readable (perf_poll() takes what it tells back). The loop registers the
  // descriptor when it next waits; registering asks, and whoever waits then asks again, in vain (fs/eventpoll.c:
  // ep_insert(), ep_send_events()). So what is there already is looked for, not waited for; and so is, after the loop
  // has begun to watch, what came before it had.
  unregistered_ |= anew;
  if (anew || ring_->Ready()) {
    poller_->Again(0);
  } else if (unregistered_) {
    unregistered_ = false;
    poller_->Again(1);
  }
  return 0;
}

void RingReader::Rearm(bool progress) {
  const Batch& batch = ring_->batch();
  if (batch.oversize() > 0 && !progress) {
    // Told, and nothing came of it: setBuffers goes on.
    poller_->Rest();
  } else if (progress || error_ != 0 || batch.holds() || !ring_->Ready()) {
    backOff_ = 0;
    if (Await() != 0) started_ = false;
  } else {
    // Readable, but the first record is reserved and not committed: watching would spin until it is.
    backOff_ = std::clamp<uint64_t>(backOff_ * 2, 1, kLongestBackOff);
    poller_->Wait(backOff_);
  }
}

void RingReader::Tell(uint32_t count) {
  napi_value receiver, argument, result, callee = nullptr;
  if (napi_get_global(env_, &receiver) != napi_ok || napi_get_reference_value(env_, onReady_, &callee) != napi_ok ||
      napi_create_uint32(env_, count, &argument) != napi_ok) {
    return;
  }
  const napi_status status = napi_make_callback(env_, asyncContext_, receiver, callee, 1, &argument, &result);
  if (status == napi_ok) return;
  napi_value thrown;
  if (status == napi_pending_exception) {
    if (napi_get_and_clear_last_exception(env_, &thrown) == napi_ok) napi_fatal_exception(env_, thrown);
  } else if (ring_) {
    // The environment is going down: its end closes this reader.
    started_ = false;
    poller_->Rest();
  }
}

}  // namespace ebpf
