#include "server/admission.h"

#include <algorithm>
#include <map>
#include <utility>

#include "server/api_error.h"

namespace quire {
namespace {

constexpr int kRetryAfterS = 1;
constexpr std::int64_t kPartForOthers = 8;  // one eighth

}  // namespace

struct Admission::Ticket::Counts {
  std::mutex mutex;
  AdmissionLimits limits;
  std::int64_t num_answers = 0, num_tokens = 0;
  std::map<std::string, std::int64_t> by_client;  // answers; only of those that have some

  std::int64_t max_answers() const { return limits.max_num_seqs + limits.max_queued_answers; }

  std::int64_t max_answers_of_client() const {
    const std::int64_t all = max_answers();
    const std::int64_t wanted = limits.max_answers_of_client;
    return std::max(std::int64_t{1}, wanted > 0 ? std::min(wanted, all) : all - all / kPartForOthers);
  }

  std::int64_t answers_of(const std::string& client) const {
    const auto found = by_client.find(client);
    return found == by_client.end() ? 0 : found->second;
  }

  // All with the mutex held.
  void check_answers(const std::string& client, std::int64_t extra) const {
    const std::int64_t most = max_answers(), own = answers_of(client), most_own = max_answers_of_client();
    if (num_answers + extra > most) {
      throw retry_later(
          429,
          fmt::format(
              "the queue is full: {} answers run or wait, {} more were asked for, at most {} are taken",
              num_answers, extra, most),
          kRetryAfterS);
    }
    if (own + extra > most_own) {
      throw retry_later(
          429,
          fmt::format("your share of the queue is full: {} of your answers run or wait, {} more "
                      "were asked for, at most {} of one key or address are taken",
                      own, extra, most_own),
          kRetryAfterS);
    }
  }

  // An empty queue takes any prompt that fits into the context, whatever the bound.
  void check_tokens(std::int64_t extra) const {
    const std::int64_t most = limits.max_queued_tokens;
    if (most <= 0 || num_tokens == 0 || num_tokens + extra <= most) return;
    throw retry_later(
        429,
        fmt::format("the queue is full: {} prompt tokens wait, {} more came, at most {} are taken",
                    num_tokens, extra, most),
        kRetryAfterS);
  }

  void add(const std::string& client, std::int64_t answers, std::int64_t tokens) {
    if (answers != 0 && (by_client[client] += answers) == 0) by_client.erase(client);
    num_answers += answers;
    num_tokens += tokens;
  }
};

Admission::Ticket& Admission::Ticket::operator=(Ticket&& other) noexcept {
  std::swap(counts_, other.counts_);
  std::swap(client_, other.client_);
  std::swap(num_answers_, other.num_answers_);
  std::swap(num_tokens_, other.num_tokens_);
  return *this;
}

Admission::Ticket::~Ticket() {
  if (!counts_) return;
  const std::lock_guard lock(counts_->mutex);
  counts_->add(client_, -num_answers_, -num_tokens_);
}

void Admission::Ticket::grow_to(std::int64_t num_answers, std::int64_t num_tokens) {
  const std::lock_guard lock(counts_->mutex);
  const std::int64_t most = counts_->max_answers_of_client();
  if (num_answers > most) {
    throw_bad_request("n", "the call asks for {} answers, at most {} of one key or address can be queued",
                      num_answers, most);
  }
  counts_->check_answers(client_, num_answers - num_answers_);
  counts_->check_tokens(num_tokens - num_tokens_);
  counts_->add(client_, num_answers - num_answers_, num_tokens - num_tokens_);
  num_answers_ = num_answers;
  num_tokens_ = num_tokens;
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

Admission::Ticket Admission::enter(const std::string& client, std::int64_t num_answers,
                                   std::int64_t num_tokens) {
  Ticket ticket;
  ticket.counts_ = counts_;
  ticket.client_ = client;
  ticket.grow_to(num_answers, num_tokens);
  return ticket;
}

void Admission::check_room(const std::string& client) const {
  const std::lock_guard lock(counts_->mutex);
  counts_->check_answers(client, 1);
}

std::int64_t Admission::num_answers() const {
  const std::lock_guard lock(counts_->mutex);
  return counts_->num_answers;
}

}  // namespace quire
