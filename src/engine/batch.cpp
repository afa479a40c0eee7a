#include "engine/batch.h"

#include <algorithm>
#include <bit>

namespace quire {

const StepBatch& BatchBuilder::build(const StepPlan& plan) {
  resize(plan);
  batch_.max_query_len = batch_.max_kv_len = 0;
  std::int32_t begin = 0;
  std::size_t num_logit_rows = 0;
  batch_.query_indptr[0] = 0;
  for (std::size_t s = 0; s < plan.items.size(); ++s) {
    const ScheduledRequest& item = plan.items[s];
    if (s + 8 < plan.items.size()) prefetch_request(plan.items[s + 8].request);
    fill_tokens(item, begin);
    for (std::size_t g = 0; g < batch_.groups.size(); ++g) {
      if (config_.groups[g].grows()) fill_slots(g, item, begin);
      update_row(g, s, item.request->pages);
    }
    begin += item.query_len;
    batch_.query_indptr[s + 1] = begin;
    batch_.kv_len[s] = item.computed_len + item.query_len;
    batch_.max_query_len = std::max(batch_.max_query_len, item.query_len);
    batch_.max_kv_len = std::max(batch_.max_kv_len, batch_.kv_len[s]);
    if (item.runner_draws && item.request->draw_scale > 0.0f) add_draws(item, num_logit_rows);
    for (std::int32_t row = begin - item.num_logit_rows; row < begin; ++row) {
      batch_.wants_logits[num_logit_rows] = item.runner_draws ? 0 : 1;
      batch_.logit_rows[num_logit_rows++] = row;
    }
  }
  return batch_;
}

void BatchBuilder::resize(const StepPlan& plan) {
  const std::size_t num_seqs = plan.items.size(), num_tokens = static_cast<std::size_t>(plan.num_tokens);
  batch_.num_seqs = static_cast<std::int32_t>(num_seqs);
  batch_.num_tokens = plan.num_tokens;
  batch_.token_ids.resize(num_tokens);
  batch_.positions.resize(num_tokens);
  batch_.query_indptr.resize(num_seqs + 1);
  batch_.kv_len.resize(num_seqs);
  batch_.logit_rows.resize(static_cast<std::size_t>(plan.num_logit_rows));
  batch_.wants_logits.resize(batch_.logit_rows.size());
  batch_.draws.assign(batch_.logit_rows.size(), TokenDraw{});
  batch_.has_random = batch_.has_thresholds = false;
  batch_.drawn_rows.assign(num_tokens, -1);
  for (std::size_t g = 0; g < batch_.groups.size(); ++g) {
    if (config_.groups[g].grows()) batch_.groups[g].slot_mapping.resize(num_tokens);
    resize_table(g, num_seqs, plan.max_num_pages[g]);
  }
}

// The row length moves in powers of two, and down only far below, because every change copies all rows
// anew.
void BatchBuilder::resize_table(std::size_t group, std::size_t num_seqs, std::int32_t max_num_pages) {
  GroupBatch& table = batch_.groups[group];
  if (max_num_pages > table.max_pages || max_num_pages < table.max_pages / 4) {
    table.max_pages = static_cast<std::int32_t>(std::bit_ceil(static_cast<std::uint32_t>(max_num_pages)));
    rows_[group].clear();
  }
  rows_[group].resize(num_seqs);
  table.page_table.resize(num_seqs * static_cast<std::size_t>(table.max_pages));
}

// The last row draws the token behind all of the request's tokens, the row before it the one in whose place
// the last token stands, and so on.
void BatchBuilder::add_draws(const ScheduledRequest& item, std::size_t first_row) {
  const std::int32_t num_tokens = item.computed_len + item.query_len;  // up to the last row
  for (std::int32_t i = 0; i < item.num_logit_rows; ++i) {
    const TokenDraw draw = token_draw(*item.request, num_tokens - item.num_logit_rows + 1 + i);
    batch_.draws[first_row + static_cast<std::size_t>(i)] = draw;
    batch_.has_random = true;
    batch_.has_thresholds |= draw.top_k > 0 || draw.top_p > 0;
  }
}

void BatchBuilder::fill_tokens(const ScheduledRequest& item, std::int32_t begin) {
  const auto out = static_cast<std::size_t>(begin);
  if (item.query_len == 1 && item.samples) {  // decode
    batch_.token_ids[out] = item.request->last_token;
    batch_.drawn_rows[out] = item.request->pending_row;
    batch_.positions[out] = item.computed_len;
    return;
  }
  const std::int32_t* tokens = item.request->tokens.data() + item.computed_len;
  for (std::int32_t i = 0; i < item.query_len; ++i) {
    batch_.token_ids[out + static_cast<std::size_t>(i)] = tokens[i];
    batch_.positions[out + static_cast<std::size_t>(i)] = item.computed_len + i;
  }
}

void BatchBuilder::fill_slots(std::size_t group, const ScheduledRequest& item, std::int32_t begin) {
  const std::int32_t page_tokens = config_.page_tokens(group);
  const GroupPages& table = item.request->pages.groups[group];
  std::int64_t* slots = batch_.groups[group].slot_mapping.data() + begin;
  std::int32_t offset = item.computed_len % page_tokens;
  if (item.query_len == 1 && item.samples) {  // decode
    slots[0] = std::int64_t{table.last_page} * page_tokens + offset;
    return;
  }
  const PageId* page = table.pages.data() + item.computed_len / page_tokens;
  for (std::int32_t i = 0; i < item.query_len; ++i) {
    slots[i] = std::int64_t{*page} * page_tokens + offset;
    if (++offset == page_tokens) offset = 0, ++page;
  }
}

void BatchBuilder::update_row(std::size_t group, std::size_t seq_idx, const SequencePages& pages) {
  Row& row = rows_[group][seq_idx];
  const GroupPages& table = pages.groups[group];
  if (row.epoch != pages.epoch) row = {pages.epoch, 0, 0};
  GroupBatch& batch = batch_.groups[group];
  std::int32_t* entries = batch.page_table.data() + seq_idx * static_cast<std::size_t>(batch.max_pages);
  if (row.num_released != table.num_released) {
    std::fill(entries + row.num_released, entries + table.num_released, kNullPage);
    row.num_released = table.num_released;
  }
  if (row.num_pages != table.num_pages()) {
    std::copy(table.pages.begin() + row.num_pages, table.pages.end(), entries + row.num_pages);
    row.num_pages = table.num_pages();
  }
}

}  // namespace quire
