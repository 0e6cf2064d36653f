#include "attachment.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "arguments.h"
#include "perform.h"
#include "signal_watch.h"

namespace ebpf {

Napi::Function Attachment::Define(Napi::Env env) {
  return DefineClass(env, "Attachment",
                     {
                         InstanceMethod<&Attachment::UpdateProgram>("updateProgram"),
                         InstanceMethod<&Attachment::Close>("close"),
                     });
}

Napi::Value Attachment::Make(Napi::Env env, Ways ways) {
  return Environment::Of(env).attachment.New({Napi::External<Ways>::New(env, &ways)});
}

Attachment::Attachment(const Napi::CallbackInfo& info) : Held<Attachment>(info) {
  if (!info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "attachments come from attaching a program");
  ways_ = std::move(*info[0].As<Napi::External<Ways>>().Data());
  Environment& environment = Environment::Of(info.Env());
  Hold(environment.links);
  environment.signals.Add(environment, this);
}

void Attachment::UpdateProgram(const Napi::CallbackInfo& info) {
  constexpr char kOperation[] = "update_program";
  const auto [program] = Arguments<Number<int>>(info);
  if (!ways_.undo) ThrowFailure(info.Env(), EBADF, kOperation);
  if (!ways_.replace) ThrowFailure(info.Env(), EOPNOTSUPP, kOperation);
  Perform(info.Env(), kOperation, [&, program = program] {
    const std::lock_guard lock(SignalWatch::Mutex());
    return ways_.replace ? ways_.replace(program) : -EBADF;
  });
}

void Attachment::Close(const Napi::CallbackInfo& info) {
  if (!ways_.undo) return;
  const auto [errors] = Arguments<Integers>(info);
  const int32_t* const gone = errors.Data();
  // What could not be undone is kept, for the end of the environment to try again. Not so what is gone already: it may
  // have been attached anew since then, by another link, which would lose it.
  Perform(info.Env(), "detach", [&, count = errors.ElementLength()] {
    const std::lock_guard lock(SignalWatch::Mutex());
    const int result = ways_.undo ? ways_.undo() : 0;
    return std::find(gone, gone + count, -result) != gone + count ? 0 : result;
  });
  Environment::Of(info.Env()).signals.Remove(this);
  ways_ = {};
  LetGo();
}

void Attachment::UndoForSignal() noexcept {
  const auto undo = std::exchange(ways_, {}).undo;
  LogCapture silent(-1);
  if (undo) undo();
}

void Attachment::CloseWithEnvironment() noexcept {
  Environment::Of(Env()).signals.Remove(this);
  {
    const std::lock_guard lock(SignalWatch::Mutex());
    UndoForSignal();
  }
  LetGo();
}

}  // namespace ebpf
