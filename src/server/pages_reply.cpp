#include "server/pages_reply.h"

#include <fmt/format.h>

#include <chrono>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "server/api_error.h"

namespace quire {
namespace {

constexpr std::chrono::milliseconds kFresh{200};      // so old a text is as good as a new one
constexpr std::chrono::milliseconds kPatience{1000};  // then the last text will do, however old
constexpr std::chrono::seconds kLongestStep{10};
constexpr std::size_t kMaxWaiting = 4096;  // who comes beyond them looks again after kPatience

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

struct PagesFeed::State {
  std::mutex mutex;
  std::shared_ptr<const std::string> text;
  std::optional<EngineSnapshot> snapshot;  // what came last, if it is not in `text` yet
  double snapshot_unix_s = 0;
  Clock::time_point taken_at, asked_at;
  bool is_asked = false;
  std::vector<Waker> waiting;

  void take(EngineSnapshot taken) {
    std::vector<Waker> wakers;
    {
      const std::lock_guard lock(mutex);
      snapshot = std::move(taken);
      snapshot_unix_s = unix_now_s();
      taken_at = Clock::now();
      is_asked = false;
      wakers.swap(waiting);
    }
    for (const Waker& wake : wakers) wake();
  }
};

PagesFeed::PagesFeed() : state_(std::make_shared<State>()) {}

std::shared_ptr<const std::string> PagesFeed::text(Clock::time_point since) {
  const std::lock_guard lock(state_->mutex);
  if (state_->taken_at < since) return nullptr;
  // Written here and not where it was taken: the engine's thread has better things to do.
  if (state_->snapshot) {
    state_->text =
        std::make_shared<const std::string>(pages_json(*state_->snapshot, state_->snapshot_unix_s));
    state_->snapshot.reset();
  }
  return state_->text;
}

void PagesFeed::ask(Engine& engine, Waker wake) {
  {
    const Clock::time_point now = Clock::now();
    const std::lock_guard lock(state_->mutex);
    if (state_->waiting.size() < kMaxWaiting) state_->waiting.push_back(std::move(wake));
    if (state_->is_asked && now - state_->asked_at < kLongestStep) return;
    state_->is_asked = true;
    state_->asked_at = now;
  }
  engine.request_snapshot([state = state_](EngineSnapshot snapshot) { state->take(std::move(snapshot)); });
}

PagesReply::PagesReply(PagesFeed& feed, Engine& engine, Waker wake) : feed_(feed), arrival_(Clock::now()) {
  if (!feed_.text(arrival_ - kFresh)) feed_.ask(engine, std::move(wake));
}

ReplyOutput PagesReply::poll() {
  const Clock::time_point now = Clock::now();
  const bool is_patient = now < arrival_ + kPatience;
  ReplyOutput output;
  output.shared_body = feed_.text(is_patient ? arrival_ - kFresh : Clock::time_point());
  if (output.shared_body) {
    output.head = HttpHead{200, "application/json", {{"Cache-Control", "no-store"}}, false};
    output.is_last = true;
  } else if (now >= arrival_ + kLongestStep) {
    return retry_later(503, "the engine does not answer", 5).reply()->poll();
  }
  output.wake_at = arrival_ + (is_patient ? Clock::duration(kPatience) : Clock::duration(kLongestStep));
  return output;
}

}  // namespace quire
