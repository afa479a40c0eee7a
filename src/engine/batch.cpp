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
    update_row(s, item.request->pages);
    begin += item.query_len;
    batch_.query_indptr[s + 1] = begin;
    batch_.kv_len[s] = item.computed_len + item.query_len;
    batch_.max_query_len = std::max(batch_.max_query_len, item.query_len);
    batch_.max_kv_len = std::max(batch_.max_kv_len, batch_.kv_len[s]);
    for (std::int32_t row = begin - item.num_logit_rows; row < begin; ++row) {
      batch_.wants_logits[num_logit_rows] = item.runner_draws ? 0 : 1;
      if (item.runner_draws && item.request->draw_scale > 0.0f) add_draw(num_logit_rows, token_draw(*item.request));
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
  batch_.slot_mapping.resize(num_tokens);
  batch_.query_indptr.resize(num_seqs + 1);
  batch_.kv_len.resize(num_seqs);
  batch_.logit_rows.resize(static_cast<std::size_t>(plan.num_logit_rows));
  batch_.wants_logits.resize(batch_.logit_rows.size());
  batch_.draws.assign(batch_.logit_rows.size(), TokenDraw{});
  batch_.has_random = batch_.has_cuts = false;
  batch_.drawn_rows.assign(num_tokens, -1);
  // The row length moves in powers of two, and down only far below, because every change copies all rows
  // anew.
  if (plan.max_num_pages > batch_.max_pages || plan.max_num_pages < batch_.max_pages / 4) {
    batch_.max_pages =
        static_cast<std::int32_t>(std::bit_ceil(static_cast<std::uint32_t>(plan.max_num_pages)));
    rows_.clear();
  }
  rows_.resize(num_seqs);
  batch_.page_table.resize(num_seqs * static_cast<std::size_t>(batch_.max_pages));
}

void BatchBuilder::add_draw(std::size_t row, const TokenDraw& draw) {
  batch_.draws[row] = draw;
  batch_.has_random = true;
  batch_.has_cuts |= draw.top_k > 0 || draw.top_p > 0;
}

void BatchBuilder::fill_tokens(const ScheduledRequest& item, std::int32_t begin) {
  if (item.query_len == 1 && item.samples) {  // decode
    const auto at = static_cast<std::size_t>(begin);
    batch_.token_ids[at] = item.request->last_token;
    batch_.drawn_rows[at] = item.request->pending_row;
    batch_.positions[at] = item.computed_len;
    batch_.slot_mapping[at] =
        std::int64_t{item.request->pages.last_page} * page_size_ + item.computed_len % page_size_;
    return;
  }
  const std::int32_t* tokens = item.request->tokens.data() + item.computed_len;
  const PageId* page = item.request->pages.pages.data() + item.computed_len / page_size_;
  std::int32_t offset = item.computed_len % page_size_;
  const auto out = static_cast<std::size_t>(begin);
  for (std::int32_t i = 0; i < item.query_len; ++i) {
    const std::size_t token = out + static_cast<std::size_t>(i);
    batch_.token_ids[token] = tokens[i];
    batch_.positions[token] = item.computed_len + i;
    batch_.slot_mapping[token] = std::int64_t{*page} * page_size_ + offset;
    if (++offset == page_size_) offset = 0, ++page;
  }
}

void BatchBuilder::update_row(std::size_t seq_idx, const SequencePages& pages) {
  Row& row = rows_[seq_idx];
  if (row.epoch != pages.epoch) row = {pages.epoch, 0, 0};
  std::int32_t* entries = batch_.page_table.data() + seq_idx * static_cast<std::size_t>(batch_.max_pages);
  if (row.num_released != pages.num_released) {
    std::fill(entries + row.num_released, entries + pages.num_released, kNullPage);
    row.num_released = pages.num_released;
  }
  if (row.num_pages != pages.num_pages()) {
    std::copy(pages.pages.begin() + row.num_pages, pages.pages.end(), entries + row.num_pages);
    row.num_pages = pages.num_pages();
  }
}

}  // namespace quire
