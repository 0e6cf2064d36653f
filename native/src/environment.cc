#include "environment.h"

namespace ebpf {

void Registry::CloseAll() noexcept {
  while (!open_.empty()) {
    const size_t before = open_.size();
    open_.back()->CloseWithEnvironment();
    if (open_.size() == before) open_.pop_back();
  }
}

Environment& Environment::Create(Napi::Env env) {
  auto* const self = new Environment(env);
  // Freed last of all, after the hook below has let the environment go on.
  napi_set_instance_data(
      env, self, [](napi_env, void* data, void*) { delete static_cast<Environment*>(data); }, nullptr);
  napi_add_async_cleanup_hook(env, &Environment::End, self, &self->hook_);
  return *self;
}

Environment& Environment::Of(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<Environment*>(data);
}

void Environment::End(napi_async_cleanup_hook_handle, void* data) {
  auto* const self = static_cast<Environment*>(data);
  self->ending_ = true;
  self->readers.CloseAll();
  self->links.CloseAll();
  self->objects.CloseAll();
  self->signals.End();
  if (self->openHandles_ == 0) napi_remove_async_cleanup_hook(self->hook_);
}

void Environment::HandleClosed() {
  if (--openHandles_ == 0 && ending_) napi_remove_async_cleanup_hook(hook_);
}

void Environment::SetLogger(int level, Napi::Function sink) {
  logger_ = Napi::Persistent(sink);
  loggerLevel_ = level;
}

void Environment::ClearLogger() {
  logger_.Reset();
  loggerLevel_ = -1;
}

void Environment::Publish(const std::vector<LogMessage>& messages) noexcept {
  if (loggerLevel_ < 0 || ending_) return;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  for (const LogMessage& message : messages) {
    // The sink may change or remove the logger.
    if (message.level > loggerLevel_ || logger_.IsEmpty()) continue;
    napi_value receiver, level, text, result, sink = logger_.Value();
    if (napi_get_undefined(env_, &receiver) != napi_ok || napi_create_int32(env_, message.level, &level) != napi_ok ||
        napi_create_string_utf8(env_, message.text.data(), message.text.size(), &text) != napi_ok) {
      break;
    }
    const napi_value arguments[] = {level, text};
    const napi_status status = napi_call_function(env_, receiver, sink, 2, arguments, &result);
    if (status == napi_pending_exception) {
      napi_value thrown;
      if (napi_get_and_clear_last_exception(env_, &thrown) == napi_ok) napi_fatal_exception(env_, thrown);
    } else if (status != napi_ok) {
      break;
    }
  }
  napi_close_handle_scope(env_, scope);
}

}  // namespace ebpf
