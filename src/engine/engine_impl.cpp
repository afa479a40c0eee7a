#include "engine/engine_impl.h"

#include "base/check.h"

namespace quire {

const char* to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return "none";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kAbort:
      return "abort";
    case FinishReason::kError:
      return "error";
  }
  return "unknown";
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

RequestStream Engine::submit(std::vector<std::int32_t> prompt, SamplingParams params,
                             OutputCallback callback) {
  return impl_->async.submit(std::move(prompt), params, std::move(callback));
}

RequestStream Engine::submit_text(std::string_view prompt, SamplingParams params, OutputCallback callback) {
  QUIRE_CHECK_KIND(kUnsupported, impl_->encode,
                   "this engine has no tokenizer, prompts must be given as tokens");
  return impl_->async.submit(impl_->encode(prompt), params, std::move(callback));
}

EngineStats Engine::stats() const { return impl_->async.stats(); }

void Engine::request_snapshot(std::function<void(EngineSnapshot)> callback) {
  impl_->async.request_snapshot(std::move(callback));
}

}  // namespace quire
