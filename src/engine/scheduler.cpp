#include "engine/scheduler.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace quire {
namespace {

// Logits of a whole chunk of a prompt are [chunk, vocab_size] floats; this keeps them small.
constexpr int kMaxPromptLogitRows = 128;

// Once there is output the prompt's logprobs have been reported, and a preempted request need not make them
// again.
bool wants_prompt_logits(const Request& request) {
  return request.params.prompt_logprobs.has_value() && request.output_len() == 0;
}

// Its answer goes on with the tokens that it lacks; else it is a prompt, perhaps one that is computed anew.
bool continues_answer(const Request& request, int num_missing) {
  return request.output_len() > 0 && num_missing <= request.logits_len;
}

}  // namespace

bool Scheduler::Before::operator()(const Request* a, const Request* b) const {
  if (policy == SchedulingPolicy::kPriority && a->params.priority != b->params.priority) {
    return a->params.priority < b->params.priority;
  }
  return a->arrival < b->arrival;
}

Scheduler::Scheduler(const SchedulerConfig& config, const KvCacheConfig& kv_config)
    : config_(config),
      kv_(kv_config),
      before_{config.policy},
      max_len_(std::min(config.max_model_len, kv_.capacity_len(config.max_num_batched_tokens))),
      max_num_seqs_(std::min(config.max_num_seqs, config.max_num_batched_tokens)),
      waiting_(before_) {
  QUIRE_CHECK(config.max_num_seqs >= 1, "max_num_seqs is {}, must be at least 1", config.max_num_seqs);
  QUIRE_CHECK(config.max_num_batched_tokens >= 1, "max_num_batched_tokens is {}, must be at least 1",
              config.max_num_batched_tokens);
  QUIRE_CHECK(config.max_model_len >= 2, "max_model_len is {}, must be at least 2", config.max_model_len);
  QUIRE_CHECK(config.long_prefill_token_threshold >= 0,
              "long_prefill_token_threshold is {}, must be at least 0", config.long_prefill_token_threshold);
  QUIRE_CHECK(config.step_time_target_s >= 0 && std::isfinite(config.step_time_target_s),
              "step_time_target is {} s, must be finite and not negative", config.step_time_target_s);
}

void Scheduler::check_prompt_len(std::size_t prompt_len) const {
  QUIRE_CHECK(prompt_len >= 1, "prompt has 0 tokens, must have at least 1");
  QUIRE_CHECK(prompt_len < static_cast<std::size_t>(max_len_),
              "prompt has {} tokens, which with 1 token of output do not fit into the context of {} tokens "
              "(the model allows {}, the {} pages of the cache hold {})",
              prompt_len, max_len_, config_.max_model_len, kv_.num_usable_pages(),
              kv_.capacity_len(config_.max_num_batched_tokens));
}

void Scheduler::add(Request& request) {
  check_prompt_len(static_cast<std::size_t>(request.prompt_len));
  const std::int64_t max_output_len = request.params.max_tokens.value_or(max_len_);
  request.max_len =
      static_cast<std::int32_t>(std::min<std::int64_t>(max_len_, request.prompt_len + max_output_len));
  request.last_token = request.tokens.back();
  request.arrival = next_arrival_++;
  request.state = RequestState::kWaiting;
  waiting_.insert(&request);
}

const StepPlan& Scheduler::schedule() {
  plan_.items.clear();
  full_pages_.clear();
  plan_.num_tokens = plan_.num_logit_rows = plan_.num_preempted = 0;
  plan_.max_num_pages = {};
  budget_ = config_.max_num_batched_tokens;
  compact_running();
  allowance_ = open_allowance();
  schedule_running();
  commit_full_pages();
  if (plan_.num_preempted == 0) admit_waiting();
  if (config_.step_time_target_s > 0) note_work();
  return plan_;
}

PromptAllowance Scheduler::open_allowance() const {
  if (config_.step_time_target_s <= 0 || (waiting_.empty() && !has_prompts_)) return {};
  StepWork decodes;
  for (std::size_t i = 0; i < running_.size(); ++i) {
    if (i + 8 < running_.size()) prefetch_request(running_[i + 8]);
    const Request& request = *running_[i];
    if (continues_answer(request, request.num_tokens() - request.computed_len))
      decodes.add_decode(request.computed_len);
  }
  if (decodes.num_decodes == 0) return {};
  return {step_time_, config_.step_time_target_s - step_time_.decode_time_s(decodes)};
}

// A prompt's last token alone costs what a decode does.
void Scheduler::note_work() {
  plan_.work = {};
  has_prompts_ = false;
  for (const ScheduledRequest& item : plan_.items) {
    has_prompts_ |= !item.samples;
    if (item.samples && item.query_len == 1) {
      plan_.work.add_decode(item.computed_len);
    } else {
      plan_.work.add_prompt(item.computed_len, item.query_len);
    }
  }
  stats_.num_limited_steps += allowance_.has_cut();
}

void Scheduler::compact_running() {
  if (static_cast<std::size_t>(num_running_) == running_.size()) return;
  std::erase(running_, nullptr);
  for (std::size_t i = 0; i < running_.size(); ++i) running_[i]->running_idx = i;
}

int Scheduler::chunk_len(const Request& request, int computed_len, int budget) {
  const int missing_len = request.num_tokens() - computed_len;
  const int threshold = config_.long_prefill_token_threshold;
  int chunk = std::min({missing_len, budget, threshold > 0 ? threshold : missing_len});
  if (wants_prompt_logits(request)) chunk = std::min(chunk, kMaxPromptLogitRows);
  return continues_answer(request, missing_len) ? chunk : allowance_.take(chunk, computed_len);
}

void Scheduler::schedule_running() {
  num_unserved_ = num_running_;
  for (std::size_t i = 0; i < running_.size(); ++i) {
    if (!running_[i]) continue;  // preempted a moment ago
    Request& request = *running_[i];
    serving_idx_ = i;
    if (i + 8 < running_.size()) prefetch_request(running_[i + 8]);
    --num_unserved_;
    if (request.num_tokens() >= request.max_len)
      continue;  // it ends with the token that the step under way draws
    // Since no more requests run than the budget has tokens, at least one token is left for this one.
    const int query_len = chunk_len(request, request.computed_len, budget_ - num_unserved_);
    if (make_room(request, request.computed_len + query_len)) add_item(request, query_len);
  }
}

bool Scheduler::make_room(Request& request, int kv_len) {
  kv_.release_outside_window(request.pages, request.computed_len);
  while (!kv_.can_allocate(request.pages, kv_len)) {
    Request& victim = choose_victim();
    preempt(victim);
    if (&victim == &request) return false;
  }
  kv_.allocate(request.pages, kv_len);
  return true;
}

Request& Scheduler::choose_victim() const {
  if (config_.policy == SchedulingPolicy::kFcfs) {
    return **std::find_if(running_.rbegin(), running_.rend(), [](const Request* request) { return request; });
  }
  Request* worst = nullptr;
  for (Request* request : running_) {
    if (request && (!worst || before_(worst, request))) worst = request;
  }
  return *worst;
}

void Scheduler::preempt(Request& victim) {
  withdraw_turn(victim);
  remove_running(victim);
  kv_.free(victim.pages);
  victim.computed_len = 0;
  victim.state = RequestState::kWaiting;
  waiting_.insert(&victim);  // it arrived before all that wait, so it is the first to come back
  ++plan_.num_preempted;
  ++stats_.num_preemptions;
}

// Under the priority policy the victim may have had its turn in this step already: its tokens go back to the
// budget.
void Scheduler::withdraw_turn(const Request& victim) {
  if (victim.running_idx > serving_idx_) --num_unserved_;
  if (victim.running_idx >= serving_idx_) return;  // it had no turn, or is having it
  const auto item =
      std::find_if(plan_.items.begin(), plan_.items.end(),
                   [&victim](const ScheduledRequest& scheduled) { return scheduled.request == &victim; });
  QUIRE_CHECK_KIND(kInternal, item != plan_.items.end(), "request {} had its turn but is not in the plan",
                   victim.id);
  budget_ += item->query_len;
  plan_.num_tokens -= item->query_len;
  plan_.num_logit_rows -= item->num_logit_rows;
  plan_.items.erase(item);
}

void Scheduler::remove_running(Request& request) {
  running_[request.running_idx] = nullptr;
  --num_running_;
  reserve(request, 0);
}

void Scheduler::reserve(Request& request, int num_pages) {
  num_reserved_pages_ += num_pages - request.reserved_pages;
  request.reserved_pages = num_pages;
}

void Scheduler::add_item(Request& request, int query_len) {
  const std::int32_t num_left = request.num_tokens() - request.computed_len - query_len;
  const bool samples = num_left == 0;
  const std::int32_t num_logit_rows =
      wants_prompt_logits(request) ? query_len : std::clamp(request.logits_len - num_left, 0, query_len);
  const bool runner_draws = num_logit_rows > 0 && request.runner_draws();
  plan_.items.push_back({&request, query_len, request.computed_len, samples, num_logit_rows, runner_draws});
  plan_.num_tokens += query_len;
  plan_.num_logit_rows += num_logit_rows;
  for (std::size_t g = 0; g < kv_.num_groups(); ++g) {
    plan_.max_num_pages[g] = std::max(plan_.max_num_pages[g], request.pages.groups[g].num_pages());
  }
  budget_ -= query_len;
  if (kv_.can_commit(request.pages, std::min(request.computed_len + query_len, request.known_len())))
    full_pages_.push_back(&request);
  if (request.reserved_pages > 0) {
    reserve(request,
            kv_.num_missing_pages(request.pages, {}, request.num_tokens(), config_.max_num_batched_tokens));
  }
}

void Scheduler::admit_waiting() {
  while (budget_ > 0 && num_running_ < max_num_seqs_ && !waiting_.empty()) {
    if (allowance_.is_spent() || !try_admit(**waiting_.begin())) return;
  }
}

bool Scheduler::try_admit(Request& request) {
  const int available = kv_.num_free_pages() - num_reserved_pages_;
  if (request.id == blocked_id_ && available <= blocked_available_) return false;
  const bool looks_up = !wants_prompt_logits(request);  // logits come from computing, not from the cache
  const PrefixHit hit =
      looks_up ? kv_.find_prefix(request.pages, request.tokens, request.cache_salt()) : PrefixHit{};
  const int num_missing =
      kv_.num_missing_pages(request.pages, hit, request.num_tokens(), config_.max_num_batched_tokens);
  if (num_missing + hit.num_free_pages > available) {
    blocked_id_ = request.id;
    blocked_available_ = available;
    return false;
  }
  blocked_available_ = -1;
  if (request.cached_len <
      0) {  // a preempted request finds its own pages again, which is no merit of the cache
    request.cached_len = hit.hit_len;
    stats_.prefix_query_tokens += kv_.config().has_prefix_cache && looks_up ? request.num_tokens() : 0;
    stats_.prefix_hit_tokens += hit.hit_len;
    stats_.num_prompt_tokens += request.prompt_len;
  }
  waiting_.erase(waiting_.begin());
  request.state = RequestState::kRunning;
  request.running_idx = running_.size();
  running_.push_back(&request);
  ++num_running_;
  request.computed_len = hit.hit_len;
  const int query_len = chunk_len(request, hit.hit_len, budget_);
  kv_.allocate(request.pages, hit, hit.hit_len + query_len);
  reserve(request, num_missing);
  add_item(request, query_len);
  commit_full_pages();
  return true;
}

// Called when nobody can be preempted any more in this step: what is planned will be computed. Requests which
// are admitted to this very step may share it, since a layer writes all keys and values before it reads any.
void Scheduler::commit_full_pages() {
  for (Request* request : full_pages_) {
    if (request->state != RequestState::kRunning) continue;  // preempted after its turn
    // A page whose last token is not known yet is entered one step later.
    kv_.commit(request->pages, request->tokens, request->cache_salt(),
               std::min(request->pages.slots_len, request->known_len()));
  }
  full_pages_.clear();
}

void Scheduler::complete(std::span<const ScheduledRequest> items) {
  for (const ScheduledRequest& item : items) {
    if (item.request) item.request->computed_len = item.computed_len + item.query_len;
  }
}

void Scheduler::finish(Request& request, bool is_trusted) {
  if (request.state == RequestState::kWaiting) waiting_.erase(&request);
  if (request.state == RequestState::kRunning) {
    remove_running(request);
    is_trusted ? kv_.free(request.pages) : kv_.discard(request.pages);
  }
  request.state = RequestState::kFinished;
}

void Scheduler::force_preempt(Request& request) {
  QUIRE_CHECK(request.state == RequestState::kRunning, "request {} is not running", request.id);
  serving_idx_ = 0;  // no step is being planned: nothing to withdraw
  preempt(request);
}

void Scheduler::describe_pages(std::vector<std::int64_t>& owners) const {
  kv_.describe_free_pages(owners);
  for (const Request* request : running_) {
    if (!request) continue;
    for (const GroupPages& table : request->pages.groups) {
      for (const PageId page : table.pages) {
        if (page == kNullPage) continue;
        const std::int64_t num_refs = kv_.num_refs(page);
        owners[static_cast<std::size_t>(page) - 1] =
            num_refs > 1 ? -num_refs : static_cast<std::int64_t>(request->id);
      }
    }
  }
}

void Scheduler::check_integrity() const {
  std::vector<const SequencePages*> held;
  int num_reserved = 0, num_found = 0;
  for (std::size_t i = 0; i < running_.size(); ++i) {
    const Request* request = running_[i];
    if (!request) continue;
    ++num_found;
    num_reserved += request->reserved_pages;
    held.push_back(&request->pages);
    QUIRE_CHECK_KIND(kInternal, request->state == RequestState::kRunning && request->running_idx == i,
                     "request {} stands at place {} of the running list but believes in {}", request->id, i,
                     request->running_idx);
    QUIRE_CHECK_KIND(kInternal, request->computed_len <= request->pages.slots_len,
                     "request {} has {} computed tokens in {} slots", request->id, request->computed_len,
                     request->pages.slots_len);
  }
  for (const Request* request : waiting_) {
    QUIRE_CHECK_KIND(kInternal, request->state == RequestState::kWaiting && request->pages.holds_nothing(),
                     "waiting request {} holds {} pages", request->id, request->pages.num_held());
  }
  QUIRE_CHECK_KIND(kInternal, num_found == num_running_ && num_reserved == num_reserved_pages_,
                   "{} requests run, {} counted; {} pages reserved, {} counted", num_found, num_running_,
                   num_reserved, num_reserved_pages_);
  kv_.check_integrity(held);
}

void Scheduler::check_idle() const {
  QUIRE_CHECK_KIND(kInternal, num_reserved_pages_ == 0, "no request lives, but {} pages are reserved",
                   num_reserved_pages_);
  kv_.check_idle();
}

void Scheduler::repair() {
  QUIRE_CHECK_KIND(kInternal, num_running_ == 0 && waiting_.empty(),
                   "repair with {} running and {} waiting requests", num_running_, waiting_.size());
  num_reserved_pages_ = 0;
  kv_.reset();
}

}  // namespace quire
