#include "server/admission.h"

#include <utility>

#include "server/api_error.h"

namespace quire {

struct Admission::Ticket::Counts {
  std::mutex mutex;
  AdmissionLimits limits;
  std::int64_t num_answers = 0, num_tokens = 0;

  std::int64_t max_answers() const { return limits.max_num_seqs + limits.max_queued_answers; }
};

namespace {

constexpr int kRetryAfterS = 1;

}  // namespace

Admission::Ticket& Admission::Ticket::operator=(Ticket&& other) noexcept {
  std::swap(counts_, other.counts_);
  std::swap(num_answers_, other.num_answers_);
  std::swap(num_tokens_, other.num_tokens_);
  return *this;
}

Admission::Ticket::~Ticket() {
  if (!counts_) return;
  const std::lock_guard lock(counts_->mutex);
  counts_->num_answers -= num_answers_;
  counts_->num_tokens -= num_tokens_;
}

void Admission::Ticket::begin() {
  if (!counts_ || num_tokens_ == 0) return;
  const std::lock_guard lock(counts_->mutex);
  counts_->num_tokens -= std::exchange(num_tokens_, 0);
}

Admission::Admission() : counts_(std::make_shared<Ticket::Counts>()) {}

void Admission::set_limits(const AdmissionLimits& limits) {
  const std::lock_guard lock(counts_->mutex);
  counts_->limits = limits;
}

Admission::Ticket Admission::enter(std::int64_t num_answers, std::int64_t num_tokens) {
  const std::lock_guard lock(counts_->mutex);
  const std::int64_t max_answers = counts_->max_answers();
  if (num_answers > max_answers) {
    throw_bad_request("n", "the call asks for {} answers, at most {} can be queued", num_answers,
                      max_answers);
  }
  if (counts_->num_answers + num_answers > max_answers) {
    throw retry_later(
        429,
        fmt::format("the queue is full: {} answers run or wait, {} more were asked for, at most {} are taken",
                    counts_->num_answers, num_answers, max_answers),
        kRetryAfterS);
  }
  // An empty queue takes any prompt that fits into the context, whatever the bound.
  const std::int64_t max_tokens = counts_->limits.max_queued_tokens;
  if (max_tokens > 0 && counts_->num_tokens > 0 && counts_->num_tokens + num_tokens > max_tokens) {
    throw retry_later(
        429,
        fmt::format("the queue is full: {} prompt tokens wait, {} more came, at most {} are taken",
                    counts_->num_tokens, num_tokens, max_tokens),
        kRetryAfterS);
  }
  counts_->num_answers += num_answers;
  counts_->num_tokens += num_tokens;
  Ticket ticket;
  ticket.counts_ = counts_;
  ticket.num_answers_ = num_answers;
  ticket.num_tokens_ = num_tokens;
  return ticket;
}

void Admission::check_room() const {
  const std::lock_guard lock(counts_->mutex);
  if (counts_->num_answers < counts_->max_answers()) return;
  throw retry_later(
      429, fmt::format("the queue is full: {} answers run or wait, no more are taken", counts_->num_answers),
      kRetryAfterS);
}

std::int64_t Admission::num_answers() const {
  const std::lock_guard lock(counts_->mutex);
  return counts_->num_answers;
}

}  // namespace quire
