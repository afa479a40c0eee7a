#include "server/answer_set.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace quire {
namespace {

// Seeds of the answers to one prompt follow each other, so that a call with a seed is repeatable as a whole.
SamplingParams params_of_answer(const CallSettings& settings, std::int64_t i) {
  SamplingParams params = settings.params;
  if (params.seed)
    params.seed =
        static_cast<std::int64_t>(static_cast<std::uint64_t>(*params.seed) + static_cast<std::uint64_t>(i));
  return params;
}

template <class Value>
void append(std::vector<Value>& to, const std::vector<Value>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

double seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

void merge(RequestOutput& into, const RequestOutput& next) {
  append(into.token_ids, next.token_ids);
  append(into.logprobs, next.logprobs);
  append(into.prompt_logprobs, next.prompt_logprobs);
  into.text += next.text;
  into.finish_reason = next.finish_reason;
  into.stop_string = next.stop_string;
  into.stop_token = next.stop_token;
  into.error = next.error;
  into.prompt_len = next.prompt_len;
  into.cached_len = next.cached_len;
  into.output_len = next.output_len;
  into.queue_s = next.queue_s;
}

struct AnswerSet::Inbox {
  struct Slot {
    RequestOutput pending;
    bool has_pending = false;
    Clock::time_point last_token;
    RequestRecord record;
  };

  std::mutex mutex;
  std::vector<Slot> slots;
  std::size_t num_pending_bytes = 0;
  bool is_woken = false;  // the connection has been told and has not come yet
  bool has_overflowed = false;
  bool has_started = false;
  bool has_failed = false;  // an output was lost
  AnswerSetOptions options;
  Clock::time_point arrival = Clock::now();
  Metrics* metrics = nullptr;
  Waker wake;

  // Never loses a wake-up: an output that there is no memory for fails the call, and the connection hears of
  // it.
  void put(std::size_t idx, const RequestOutput& output) noexcept {
    bool must_wake = false;
    {
      const std::lock_guard lock(mutex);
      const bool had_started = has_started;
      try {
        keep(slots[idx], output);
      } catch (const std::exception&) {
        has_failed = true;
      }
      must_wake =
          !is_woken && (options.wakes_often || output.is_last() || has_failed || has_started != had_started);
      is_woken |= must_wake;
    }
    if (must_wake) wake();
  }

  void keep(Slot& slot, const RequestOutput& output) {
    note_times(slot, output);
    slot.has_pending ? merge(slot.pending, output) : void(slot.pending = output);
    slot.has_pending = true;
    num_pending_bytes += output.text.size();
    has_overflowed |= options.max_pending_bytes > 0 && num_pending_bytes > options.max_pending_bytes;
  }

  void note_times(Slot& slot, const RequestOutput& output) {
    RequestRecord& record = slot.record;
    const Clock::time_point now = Clock::now();
    if (!output.token_ids.empty()) {
      if (record.first_token_s < 0) {
        record.first_token_s = seconds(now - arrival);
        metrics->observe_first_token(record.first_token_s);
      } else {
        metrics->observe_gap(seconds(now - slot.last_token));
      }
      has_started = true;
      slot.last_token = now;
      record.last_token_s = seconds(now - arrival);
    }
    if (!output.is_last()) return;
    record.prompt_len = output.prompt_len;
    record.cached_len = output.cached_len;
    record.output_len = output.output_len;
    record.queue_s = output.queue_s;
    metrics->observe_request(record);
  }
};

AnswerSet::AnswerSet(const ServedModel& model, const PreparedCall& call, const AnswerSetOptions& options,
                     Metrics& metrics, Waker wake)
    : inbox_(std::make_shared<Inbox>()) {
  inbox_->options = options;
  inbox_->metrics = &metrics;
  inbox_->wake = std::move(wake);
  inbox_->slots.resize(call.num_answers());
  for (auto& slot : inbox_->slots) {
    slot.record.max_tokens = call.settings.has_max_tokens ? *call.settings.params.max_tokens : 0;
  }
  for (std::size_t idx = 0; idx < call.num_answers(); ++idx) {
    const auto i = static_cast<std::int64_t>(idx) % call.settings.n;
    streams_.push_back(model.engine->submit(
        call.prompts[call.prompt_of(idx)], params_of_answer(call.settings, i),
        [inbox = inbox_, idx](const RequestOutput& output) { inbox->put(idx, output); }));
  }
}

AnswerSet::~AnswerSet() = default;

std::vector<AnswerPiece> AnswerSet::take() {
  std::vector<AnswerPiece> pieces;
  const std::lock_guard lock(inbox_->mutex);
  inbox_->is_woken = false;
  inbox_->num_pending_bytes = 0;
  for (std::size_t idx = 0; idx < inbox_->slots.size(); ++idx) {
    Inbox::Slot& slot = inbox_->slots[idx];
    if (!std::exchange(slot.has_pending, false)) continue;
    pieces.push_back({idx, std::exchange(slot.pending, {})});
  }
  return pieces;
}

bool AnswerSet::has_overflowed() const {
  const std::lock_guard lock(inbox_->mutex);
  return inbox_->has_overflowed;
}

bool AnswerSet::has_begun() const {
  return std::any_of(streams_.begin(), streams_.end(),
                     [](const RequestStream& stream) { return stream.has_begun(); });
}

bool AnswerSet::has_started() const {
  const std::lock_guard lock(inbox_->mutex);
  return inbox_->has_started;
}

bool AnswerSet::has_failed() const {
  const std::lock_guard lock(inbox_->mutex);
  return inbox_->has_failed;
}

void AnswerSet::cancel() {
  for (RequestStream& stream : streams_) stream.cancel();
}

}  // namespace quire
