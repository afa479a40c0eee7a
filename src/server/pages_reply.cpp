#include "server/pages_reply.h"

#include <fmt/format.h>

#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

#include "server/api_error.h"

namespace quire {
namespace {

constexpr std::chrono::seconds kLongestStep{10};

double unix_now_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

std::string pages_json(const EngineSnapshot& snapshot, double unix_time_s) {
  std::string text = fmt::format("{{\"num_pages\":{},\"page_size\":{},\"owners\":[",
                                 snapshot.page_owners.size(), snapshot.page_size);
  for (std::size_t i = 0; i < snapshot.page_owners.size(); ++i) {
    if (i > 0) text += ',';
    text += fmt::format_int(snapshot.page_owners[i]).c_str();
  }
  text += "],\"steps\":[";
  for (std::size_t i = 0; i < snapshot.steps.size(); ++i) {
    const StepRecord& step = snapshot.steps[i];
    text +=
        fmt::format("{}{{\"decode\":{},\"extend\":{},\"prefill\":{},\"time_us\":{}}}", i > 0 ? "," : "",
                    step.num_decode_tokens, step.num_extend_tokens, step.num_prefill_tokens, step.time_us);
  }
  const EngineStats& stats = snapshot.stats;
  text += fmt::format(
      "],\"running\":{},\"waiting\":{},\"generation_tokens\":{},\"prompt_tokens\":{},\"time\":{:.3f}}}\n",
      stats.num_running, stats.num_waiting, stats.num_generation_tokens, stats.num_prompt_tokens,
      unix_time_s);
  return text;
}

struct PagesReply::Inbox {
  std::mutex mutex;
  std::optional<EngineSnapshot> snapshot;
};

PagesReply::PagesReply(Engine& engine, Waker wake)
    : inbox_(std::make_shared<Inbox>()), deadline_(Clock::now() + kLongestStep) {
  engine.request_snapshot([inbox = inbox_, wake = std::move(wake)](EngineSnapshot snapshot) {
    {
      const std::lock_guard lock(inbox->mutex);
      inbox->snapshot = std::move(snapshot);
    }
    wake();
  });
}

ReplyOutput PagesReply::poll() {
  std::optional<EngineSnapshot> snapshot;
  {
    const std::lock_guard lock(inbox_->mutex);
    snapshot = std::exchange(inbox_->snapshot, std::nullopt);
  }
  ReplyOutput output;
  output.wake_at = deadline_;
  if (snapshot) {
    output.head = HttpHead{200, "application/json", {{"Cache-Control", "no-store"}}, false};
    output.body = pages_json(*snapshot, unix_now_s());
    output.is_last = true;
  } else if (Clock::now() >= deadline_) {
    return retry_later(503, "the engine does not answer", 5).reply()->poll();
  }
  return output;
}

}  // namespace quire
