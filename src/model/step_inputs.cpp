#include "model/step_inputs.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace quire {
namespace {

constexpr std::size_t kBytesOfToken = sizeof(std::int64_t) + 3 * sizeof(std::int32_t);
static_assert(sizeof(DrawRow) % sizeof(std::int64_t) == 0 && kWeightBits == kDrawWeightBits);

std::size_t total_bytes(int num_tokens, int num_rows, int num_seqs, int max_pages) {
  return static_cast<std::size_t>(num_tokens) * kBytesOfToken + static_cast<std::size_t>(num_rows) * sizeof(DrawRow) +
         (static_cast<std::size_t>(num_rows) + static_cast<std::size_t>(num_seqs) * static_cast<std::size_t>(max_pages)) *
             sizeof(std::int32_t);
}

}  // namespace

void StepInputs::reserve(int num_tokens, int num_rows, int num_seqs, int max_pages) {
  const std::size_t bytes = total_bytes(num_tokens, num_rows, num_seqs, max_pages);
  if (buffer_ != nullptr && buffer_->bytes() >= bytes) return;
  buffer_ = device_.allocate(std::max<std::size_t>({bytes, 64, buffer_ == nullptr ? 0 : 2 * buffer_->bytes()}));
  ++num_reallocations_;
}

// 8-byte elements first; the page table last, so that the rows of padding need not be copied.
StepArrays StepInputs::place(int num_tokens, int num_rows, int num_seqs, int max_pages) {
  reserve(num_tokens, num_rows, num_seqs, max_pages);
  StepArrays arrays;
  arrays.num_tokens = num_tokens;
  arrays.num_rows = num_rows;
  arrays.max_pages = max_pages;
  arrays.slot_mapping = buffer_->as<std::int64_t>();
  auto* draws = reinterpret_cast<DrawRow*>(buffer_->as<std::int64_t>() + num_tokens);
  arrays.draws = draws;
  arrays.token_ids = reinterpret_cast<std::int32_t*>(draws + num_rows);
  arrays.positions = arrays.token_ids + num_tokens;
  arrays.drawn_rows = arrays.positions + num_tokens;
  arrays.logit_rows = arrays.drawn_rows + num_tokens;
  arrays.page_table = arrays.logit_rows + num_rows;
  return arrays;
}

template <class T>
void StepInputs::put(const T* place, const std::vector<T>& values, std::size_t num_values, T padding) {
  T* to = reinterpret_cast<T*>(staging_.data() + (reinterpret_cast<const std::byte*>(place) - buffer_->data()));
  std::copy(values.begin(), values.end(), to);
  std::fill(to + values.size(), to + num_values, padding);
}

void StepInputs::put_draws(const StepArrays& arrays, const StepBatch& batch) {
  std::vector<DrawRow> rows;
  for (const TokenDraw& d : batch.draws) rows.push_back({d.random, d.top_p, d.scale, d.min_weight, d.top_k, 0});
  put(arrays.draws, rows, static_cast<std::size_t>(arrays.num_rows), DrawRow{});
}

void StepInputs::copy(const StepArrays& arrays, const StepBatch& batch) {
  const auto num_tokens = static_cast<std::size_t>(arrays.num_tokens);
  staging_.resize(total_bytes(arrays.num_tokens, arrays.num_rows, batch.num_seqs, arrays.max_pages));
  put(arrays.slot_mapping, batch.slot_mapping, num_tokens, std::int64_t{-1});
  put_draws(arrays, batch);
  put<std::int32_t>(arrays.token_ids, batch.token_ids, num_tokens, 0);
  put<std::int32_t>(arrays.positions, batch.positions, num_tokens, 0);
  put<std::int32_t>(arrays.drawn_rows, batch.drawn_rows, num_tokens, -1);
  put<std::int32_t>(arrays.logit_rows, batch.logit_rows, static_cast<std::size_t>(arrays.num_rows), 0);
  put<std::int32_t>(arrays.page_table, batch.page_table, batch.page_table.size(), 0);
  device_.copy_to_device(buffer_->data(), staging_.data(), staging_.size());
}

StepArrays StepInputs::upload(const StepBatch& batch) {
  const StepArrays arrays = place(batch.num_tokens, static_cast<int>(batch.logit_rows.size()), batch.num_seqs, batch.max_pages);
  copy(arrays, batch);
  return arrays;
}

StepArrays StepInputs::upload_padded(const StepBatch& batch, int num_tokens) {
  QUIRE_CHECK_KIND(kInternal, batch.num_tokens <= num_tokens && static_cast<int>(batch.logit_rows.size()) == batch.num_tokens,
                   "{} tokens and {} rows to be padded to {}", batch.num_tokens, batch.logit_rows.size(), num_tokens);
  const StepArrays arrays = place(num_tokens, num_tokens, num_tokens, batch.max_pages);
  copy(arrays, batch);
  return arrays;
}

}  // namespace quire
