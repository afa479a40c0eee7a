// One step as flat arrays, the form that a model runner takes.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/scheduler.h"
#include "engine/token_draw.h"

namespace quire {

// The part of a step that differs between the groups of the cache: where keys, values or states are. n is the
// number of tokens in a page of the group.
struct GroupBatch {
  std::int32_t max_pages = 0;  // row length of page_table
  // [num_seqs, max_pages]: entry i of a row is the page of tokens [i * n, (i + 1) * n).
  // Entries left of a sliding window are kNullPage; entries past ceil(kv_len / n) are arbitrary page
  // numbers, not to be read. In a group of states each row is one page with the state after the tokens before
  // this step; it is undefined if there are none.
  std::vector<std::int32_t> page_table;
  std::vector<std::int64_t> slot_mapping;  // [num_tokens], page * n + offset; empty in a group of states
};

// Sequences are in the plan's order. Sequence s owns the tokens [query_indptr[s], query_indptr[s + 1]),
// which are the last ones of its kv_len[s] tokens. In every layer the keys and values of all tokens of the
// batch must be written before any of them are read: a sequence may share pages that another one fills in the
// same step.
struct StepBatch {
  std::int32_t num_seqs = 0;
  std::int32_t num_tokens = 0;
  std::int32_t max_query_len = 0;  // over the sequences of this step
  std::int32_t max_kv_len = 0;     // over the sequences of this step

  std::vector<std::int32_t> token_ids;     // [num_tokens]
  std::vector<std::int32_t> positions;     // [num_tokens], from 0 in each sequence
  std::vector<std::int32_t> query_indptr;  // [num_seqs + 1]
  std::vector<std::int32_t> kv_len;        // [num_seqs]
  std::vector<GroupBatch> groups;          // as KvCacheConfig lists them
  std::vector<std::int32_t> logit_rows;    // indices of the tokens whose logits are computed, ascending
  std::vector<std::uint8_t> wants_logits;  // [logit_rows.size()] 0: only a token drawn from the row is wanted
  std::vector<TokenDraw> draws;  // [logit_rows.size()] how it is drawn; the likeliest where logits are wanted
  bool has_random = false, has_thresholds = false;  // some row is drawn at random, with a top_k or a top_p
  // [num_tokens]: >= 0: the token is not known on the host; it is the one drawn from this logit row of the
  // step that was started before. Else -1.
  std::vector<std::int32_t> drawn_rows;
};

// Fills one StepBatch over and over. Page tables only grow until they get another epoch, so a row that held
// the same request in the step before is brought up to date and not copied.
class BatchBuilder {
 public:
  explicit BatchBuilder(const KvCacheConfig& config) : config_(config), rows_(config.groups.size()) {
    batch_.groups.resize(config.groups.size());
  }

  const StepBatch& build(const StepPlan& plan);  // valid until the next call

 private:
  struct Row {  // what a row of the page table is a copy of
    std::uint64_t epoch = 0;
    std::int32_t num_pages = 0;
    std::int32_t num_released = 0;
  };
  void resize(const StepPlan& plan);
  void resize_table(std::size_t group, std::size_t num_seqs, std::int32_t max_num_pages);
  void add_draws(const ScheduledRequest& item, std::size_t first_row);
  void fill_tokens(const ScheduledRequest& item, std::int32_t begin);
  void fill_slots(std::size_t group, const ScheduledRequest& item, std::int32_t begin);
  void update_row(std::size_t group, std::size_t seq_idx, const SequencePages& pages);

  const KvCacheConfig config_;
  StepBatch batch_;
  std::vector<std::vector<Row>> rows_;  // of each group
};

}  // namespace quire
