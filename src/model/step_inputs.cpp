#include "model/step_inputs.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace quire {
namespace {

static_assert(sizeof(DrawRow) % sizeof(std::int64_t) == 0 && kWeightBits == kDrawWeightBits);

}  // namespace

std::size_t StepInputs::total_bytes(int num_tokens, int num_rows, int num_seqs,
                                    const Extents& max_pages) const {
  const std::size_t token_bytes = groups_.size() * sizeof(std::int64_t) + 3 * sizeof(std::int32_t);
  std::size_t num_entries = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) num_entries += static_cast<std::size_t>(max_pages[g]);
  return static_cast<std::size_t>(num_tokens) * token_bytes +
         static_cast<std::size_t>(num_rows) * sizeof(DrawRow) +
         (static_cast<std::size_t>(num_rows) + static_cast<std::size_t>(num_seqs) * num_entries) *
             sizeof(std::int32_t);
}

void StepInputs::reserve(int num_tokens, int num_rows, int num_seqs, int max_pages) {
  Extents extents{};
  extents.fill(max_pages);
  reserve_bytes(total_bytes(num_tokens, num_rows, num_seqs, extents));
}

void StepInputs::reserve_bytes(std::size_t bytes) {
  if (buffer_ != nullptr && buffer_->bytes() >= bytes) return;
  buffer_ =
      device_.allocate(std::max<std::size_t>({bytes, 64, buffer_ == nullptr ? 0 : 2 * buffer_->bytes()}));
  ++num_reallocations_;
}

// Arrays of 8-byte elements come first, for alignment, and the page tables last, since only a part is copied.
StepArrays StepInputs::place(const StepBatch& batch, int num_tokens, int num_rows, int num_seqs) {
  QUIRE_CHECK_KIND(kInternal, batch.groups.size() == groups_.size(),
                   "a batch of {} cache groups for a model of {}", batch.groups.size(), groups_.size());
  Extents max_pages{};
  for (std::size_t g = 0; g < groups_.size(); ++g)
    max_pages[g] = batch.groups[g].max_pages * groups_[g].page_scale;
  const std::size_t bytes = total_bytes(num_tokens, num_rows, num_seqs, max_pages);
  reserve_bytes(bytes);
  staging_.resize(bytes);
  StepArrays arrays;
  arrays.num_tokens = num_tokens;
  arrays.num_rows = num_rows;
  auto* slots = buffer_->as<std::int64_t>();
  for (std::size_t g = 0; g < groups_.size(); ++g, slots += num_tokens)
    arrays.groups[g] = {max_pages[g], slots, nullptr};
  auto* draws = reinterpret_cast<DrawRow*>(slots);
  arrays.draws = draws;
  arrays.token_ids = reinterpret_cast<std::int32_t*>(draws + num_rows);
  arrays.positions = arrays.token_ids + num_tokens;
  arrays.drawn_rows = arrays.positions + num_tokens;
  arrays.logit_rows = arrays.drawn_rows + num_tokens;
  const std::int32_t* table = arrays.logit_rows + num_rows;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    arrays.groups[g].page_table = table;
    table += static_cast<std::size_t>(num_seqs) * static_cast<std::size_t>(max_pages[g]);
  }
  return arrays;
}

template <class T>
T* StepInputs::staged(const T* place) {
  return reinterpret_cast<T*>(staging_.data() +
                              (reinterpret_cast<const std::byte*>(place) - buffer_->data()));
}

template <class T>
void StepInputs::put(const T* place, const std::vector<T>& values, std::size_t num_values, T padding) {
  T* to = staged(place);
  std::copy(values.begin(), values.end(), to);
  std::fill(to + values.size(), to + num_values, padding);
}

void StepInputs::put_draws(const StepArrays& arrays, const StepBatch& batch) {
  std::vector<DrawRow> rows;
  for (const TokenDraw& d : batch.draws)
    rows.push_back({d.random, d.top_p, d.scale, d.min_weight, d.top_k, 0});
  put(arrays.draws, rows, static_cast<std::size_t>(arrays.num_rows), DrawRow{});
}

void StepInputs::put_slots(std::size_t group, const StepArrays& arrays, const GroupBatch& batch) {
  const std::int64_t* place = arrays.groups[group].slot_mapping;
  const auto num_tokens = static_cast<std::size_t>(arrays.num_tokens);
  const auto [page_scale, part_stride] = groups_[group];
  put(place, batch.slot_mapping, num_tokens, std::int64_t{-1});
  if (page_scale == 1) return;
  const std::int64_t page_tokens = std::int64_t{page_size_} * page_scale;
  std::int64_t* slots = staged(place);
  for (std::size_t i = 0; i < batch.slot_mapping.size(); ++i) {
    if (slots[i] < 0) continue;
    const std::int64_t page = slots[i] / page_tokens, offset = slots[i] % page_tokens;
    slots[i] = (page + offset / page_size_ * part_stride) * page_size_ + offset % page_size_;
  }
}

void StepInputs::put_pages(std::size_t group, const StepArrays& arrays, const GroupBatch& batch) {
  std::int32_t* to = staged(arrays.groups[group].page_table);
  const auto [page_scale, part_stride] = groups_[group];
  if (page_scale == 1) {
    std::copy(batch.page_table.begin(), batch.page_table.end(), to);
    return;
  }
  for (const std::int32_t page : batch.page_table) {
    for (int part = 0; part < page_scale; ++part) *to++ = page + part * part_stride;
  }
}

void StepInputs::copy(const StepArrays& arrays, const StepBatch& batch) {
  const auto num_tokens = static_cast<std::size_t>(arrays.num_tokens);
  put_draws(arrays, batch);
  put<std::int32_t>(arrays.token_ids, batch.token_ids, num_tokens, 0);
  put<std::int32_t>(arrays.positions, batch.positions, num_tokens, 0);
  put<std::int32_t>(arrays.drawn_rows, batch.drawn_rows, num_tokens, -1);
  put<std::int32_t>(arrays.logit_rows, batch.logit_rows, static_cast<std::size_t>(arrays.num_rows), 0);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    put_slots(g, arrays, batch.groups[g]);
    put_pages(g, arrays, batch.groups[g]);
  }
  // The rows of padding at the end of the last table are not copied.
  const std::int32_t* end = arrays.groups[groups_.size() - 1].page_table;
  end += batch.groups.back().page_table.size() * static_cast<std::size_t>(groups_.back().page_scale);
  const auto bytes = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(end) - buffer_->data());
  device_.copy_to_device(buffer_->data(), staging_.data(), bytes);
}

StepArrays StepInputs::upload(const StepBatch& batch) {
  const StepArrays arrays =
      place(batch, batch.num_tokens, static_cast<int>(batch.logit_rows.size()), batch.num_seqs);
  copy(arrays, batch);
  return arrays;
}

StepArrays StepInputs::upload_padded(const StepBatch& batch, int num_tokens) {
  QUIRE_CHECK_KIND(
      kInternal,
      batch.num_tokens <= num_tokens && static_cast<int>(batch.logit_rows.size()) == batch.num_tokens,
      "{} tokens and {} rows to be padded to {}", batch.num_tokens, batch.logit_rows.size(), num_tokens);
  const StepArrays arrays = place(batch, num_tokens, num_tokens, num_tokens);
  copy(arrays, batch);
  return arrays;
}

}  // namespace quire
