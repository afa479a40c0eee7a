// Decides what the next step computes. There is no prefill and no decode: a request has tokens, some of them
// computed, and gets a share of one token budget. The scheduler knows tokens and pages, never tensors.
//
// A step first serves the running requests in the order of their admission, each with what it lacks as long
// as one token is left for every request behind it; so no running request ever waits for another one's long
// prompt. What remains of the budget goes to waiting requests, in order and without overtaking. A waiting
// request enters only when there is room for all of its tokens. When a running request finds no page, the
// last one (or the one of worst priority) gives up all of its pages, waits again, and is computed anew later.
//
// With a target for the time of a step, prompts get less of a step that also continues answers: as much as is
// expected to fit (see step_time.h), and never less than PromptAllowance::kLeastTokens.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <vector>

#include "engine/kv_cache.h"
#include "engine/request.h"
#include "engine/step_time.h"
#include "quire/engine_options.h"

namespace quire {

struct SchedulerConfig {
  int max_num_seqs = 256;                // running at the same time; never more than the budget has tokens
  int max_num_batched_tokens = 2048;     // the budget of a step
  int max_model_len = 0;                 // tokens of prompt and output
  int long_prefill_token_threshold = 0;  // at most so many tokens of one request a step; 0: no limit
  SchedulingPolicy policy = SchedulingPolicy::kFcfs;
  double step_time_target_s = 0;  // of steps that continue answers; 0: none
};

struct ScheduledRequest {
  Request* request;
  std::int32_t query_len;       // tokens to compute, from position computed_len on
  std::int32_t computed_len;    // before this step
  bool samples;                 // the last token of the request is among them, so its logits are wanted
  std::int32_t num_logit_rows;  // of its last tokens here: those of Request::logits_len, all while
                                // prompt_logprobs are due
  bool runner_draws;            // the runner draws from its rows, whose logits are not wanted
};

struct StepPlan {
  std::vector<ScheduledRequest> items;
  std::int32_t num_tokens = 0;      // sum of query_len
  std::int32_t num_logit_rows = 0;  // sum over the items
  std::array<std::int32_t, kMaxCacheGroups> max_num_pages =
      {};  // longest page table among the items, in each group
  std::int32_t num_preempted = 0;
  StepWork work;  // with a step time target only
};

struct SchedulerStats {
  std::int64_t num_preemptions = 0;
  std::int64_t prefix_query_tokens = 0;
  std::int64_t prefix_hit_tokens = 0;
  std::int64_t num_prompt_tokens = 0;
  std::int64_t num_limited_steps = 0;  // in which prompts got less for the sake of the step time target
};

class Scheduler {
 public:
  Scheduler(const SchedulerConfig& config, const KvCacheConfig& kv_config);  // throws kInvalidArgument

  // Longest request (prompt and output) that is taken: the model's limit, or what all pages together hold.
  std::int32_t max_len() const { return max_len_; }
  // Throws kInvalidArgument when a prompt of this length can never run.
  void check_prompt_len(std::size_t prompt_len) const;

  // Queues a request; the caller keeps it alive, at the same address, until `finish`. Sets max_len and
  // arrival.
  void add(Request& request);

  // The next step, valid until the next call. An empty plan means that nothing can run because nothing is
  // queued.
  const StepPlan& schedule();

  // To be called when the planned tokens have been computed, or are certain to be before those of the next
  // plan. Appending sampled tokens is the caller's part. Items without a request are passed over.
  void complete(std::span<const ScheduledRequest> items);

  // To be called with what a computed step took, in the order of the steps. Of use with a step time target.
  void observe(const StepWork& work, double time_s) { step_time_.observe(work, time_s); }
  const StepTimeModel& step_time() const { return step_time_; }

  // Every running request finds pages for one more token, so that the next plan preempts nobody.
  bool has_page_for_each() const {
    return kv_.num_free_pages() - num_reserved_pages_ >= num_running_ * kv_.num_growing_groups();
  }

  // Takes a request out, whatever its state, and frees its pages. `is_trusted` = false keeps them out of the
  // prefix cache.
  void finish(Request& request, bool is_trusted = true);

  int num_running() const { return num_running_; }
  int num_waiting() const { return static_cast<int>(waiting_.size()); }
  const KvCache& kv_cache() const { return kv_; }
  // Owner of each page; see EngineSnapshot::page_owners.
  void describe_pages(std::vector<std::int64_t>& owners) const;
  const SchedulerStats& stats() const { return stats_; }

  // Preempts a running request as if pages had run out. For tests of recomputation.
  void force_preempt(Request& request);

  void check_integrity() const;  // throws kInternal; O(everything)
  void check_idle() const;       // throws kInternal; O(1), only when nothing is queued
  void repair();                 // takes all pages back; only when nothing is queued

 private:
  struct Before {
    SchedulingPolicy policy;
    bool operator()(const Request* a, const Request* b) const;
  };

  void compact_running();
  void schedule_running();
  bool make_room(Request& request, int kv_len);
  Request& choose_victim() const;
  void preempt(Request& victim);
  void withdraw_turn(const Request& victim);
  void remove_running(Request& request);
  void admit_waiting();
  bool try_admit(Request& request);
  PromptAllowance open_allowance() const;
  int chunk_len(const Request& request, int computed_len, int budget);
  void note_work();
  void add_item(Request& request, int query_len);
  void commit_full_pages();
  void reserve(Request& request, int num_pages);

  SchedulerConfig config_;
  KvCache kv_;
  Before before_;
  std::int32_t max_len_;
  int max_num_seqs_;

  // In order of admission. A request that leaves puts null in its place; the next step closes the gaps.
  std::vector<Request*> running_;
  int num_running_ = 0;
  std::set<Request*, Before> waiting_;
  std::int64_t next_arrival_ = 0;
  int num_reserved_pages_ = 0;  // sum of Request::reserved_pages

  // The head of the queue and the pages that it was short of, so that it is not looked up again in every
  // step.
  RequestId blocked_id_ = 0;
  int blocked_available_ = -1;

  StepPlan plan_;
  std::vector<Request*> full_pages_;  // requests of this step that fill a page
  int budget_ = 0;                    // tokens left in this step
  std::size_t serving_idx_ = 0;       // place in running_ of the request whose turn it is
  int num_unserved_ = 0;              // running requests whose turn is still to come in this step
  PromptAllowance allowance_;         // of this step
  bool has_prompts_ = false;          // some running request's prompt goes on in the next step
  StepTimeModel step_time_;
  SchedulerStats stats_;
};

}  // namespace quire
