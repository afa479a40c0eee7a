// A stand-in for a model: memory is real (slots, addressed as a kernel would), arithmetic is a hash. The
// logits of a token depend on its whole history as it is found in the pages, so a page that is lost, shared
// wrongly, overwritten or read by the wrong request changes the output.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <exception>
#include <limits>
#include <span>
#include <stdexcept>
#include <vector>

#include "engine/philox.h"
#include "engine/runner.h"
#include "engine/sampler.h"

namespace quire {

class FakeModel {
 public:
  explicit FakeModel(int vocab_size, int window = 0) : vocab_size_(vocab_size), window_(window) {}

  int vocab_size() const { return vocab_size_; }
  int first_visible(int position) const { return window_ > 0 ? std::max(0, position - window_ + 1) : 0; }

  // `visible` are the tokens that the last one sees, itself included.
  std::vector<float> logits(std::span<const std::int32_t> visible) const {
    std::uint64_t hash = 0;
    for (const std::int32_t token : visible) hash = random_bits(hash, static_cast<std::uint64_t>(token));
    std::vector<float> row;
    for (int v = 0; v < vocab_size_; ++v) {
      row.push_back(static_cast<float>(8.0 * random_uniform(hash, static_cast<std::uint64_t>(v)) - 4.0));
    }
    return row;
  }

  // Greedy continuation, without any engine.
  std::vector<std::int32_t> generate(std::vector<std::int32_t> tokens, int num_tokens) const {
    const std::size_t prompt_len = tokens.size();
    for (int i = 0; i < num_tokens; ++i) {
      const auto from = static_cast<std::size_t>(first_visible(static_cast<int>(tokens.size()) - 1));
      const auto row = logits(std::span(tokens).subspan(from));
      tokens.push_back(static_cast<std::int32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
    }
    return {tokens.begin() + static_cast<std::ptrdiff_t>(prompt_len), tokens.end()};
  }

 private:
  int vocab_size_;
  int window_;
};

class FakeRunner : public Runner {
 public:
  FakeRunner(const FakeModel& model, int num_pages, int page_size)
      : model_(model), page_size_(page_size), sampler_(model.vocab_size()), slots_(static_cast<std::size_t>(num_pages * page_size)) {}

  std::int32_t nan_token = -1;                           // a history that ends with it gives NaN
  std::int32_t throw_token = -1;                         // a batch that holds it makes the step fail
  int max_num_tokens = std::numeric_limits<int>::max();  // the budget that must be held
  int max_model_len = std::numeric_limits<int>::max();   // the last token of a sequence is never computed

  bool is_ahead = false;  // steps may be started ahead
  int num_ahead = 0;      // that were
  int num_random = 0;     // tokens drawn here at random

  bool runs_ahead() const override { return is_ahead; }

  // Computes at once, in the order of the steps. A failure shows when the step ends, as that of a device does.
  void start(const StepBatch& batch) override {
    EXPECT_LE(batch.num_tokens, max_num_tokens);
    EXPECT_EQ(batch.query_indptr.back(), batch.num_tokens);
    EXPECT_EQ(batch.drawn_rows.size(), batch.token_ids.size());
    EXPECT_EQ(batch.wants_logits.size(), batch.logit_rows.size());
    EXPECT_EQ(batch.draws.size(), batch.logit_rows.size());
    EXPECT_LT(under_way_.size(), is_ahead ? 2u : 1u);
    if (!under_way_.empty()) {
      EXPECT_TRUE(under_way_.back().logits.empty()) << "ahead of a step whose logits are wanted";
      ++num_ahead;
    }
    Result result;
    try {
      compute(batch, result);
    } catch (...) {
      if (!is_ahead) throw;
      result = {{}, {}, std::current_exception()};
    }
    drawn_ = result.tokens;
    under_way_.push_back(std::move(result));
  }

  StepResult finish() override {
    EXPECT_FALSE(under_way_.empty());
    last_ = std::move(under_way_.front());
    under_way_.pop_front();
    if (last_.failure) std::rethrow_exception(last_.failure);
    return {last_.tokens, last_.logits};
  }

 private:
  struct Slot {
    std::int32_t token = -1;
    std::int32_t position = -1;
  };

  struct Result {
    std::vector<std::int32_t> tokens;
    std::vector<float> logits;
    std::exception_ptr failure;
  };

  void compute(const StepBatch& batch, Result& result) {
    for (std::size_t i = 0; i < batch.token_ids.size(); ++i) {
      std::int32_t token = batch.token_ids[i];
      if (batch.drawn_rows[i] >= 0) token = std::max(0, drawn_.at(static_cast<std::size_t>(batch.drawn_rows[i])));
      if (token == throw_token) throw std::runtime_error("the device fell over");
      EXPECT_GE(batch.slot_mapping[i], page_size_);  // never into the null page
      EXPECT_LT(batch.positions[i], max_model_len - 1);
      slots_.at(static_cast<std::size_t>(batch.slot_mapping[i])) = {token, batch.positions[i]};
    }
    std::size_t s = 0;
    for (std::size_t i = 0; i < batch.logit_rows.size(); ++i) {
      while (batch.query_indptr[s + 1] <= batch.logit_rows[i]) ++s;
      const std::vector<float> row = logits_of(batch, s, batch.positions[static_cast<std::size_t>(batch.logit_rows[i])]);
      const bool has_nan = std::any_of(row.begin(), row.end(), [](float x) { return std::isnan(x); });
      num_random += !batch.wants_logits[i] && batch.draws[i].scale > 0.0f;
      result.tokens.push_back(batch.wants_logits[i] ? -77 : has_nan ? kTokenIsNan : sampler_.draw(row, batch.draws[i]));
      if (batch.wants_logits[i]) result.logits.insert(result.logits.end(), row.begin(), row.end());
    }
  }

  std::vector<float> logits_of(const StepBatch& batch, std::size_t s, int position) {
    EXPECT_LT(position, batch.kv_len[s]);
    std::vector<std::int32_t> visible;
    for (int p = model_.first_visible(position); p <= position; ++p) {
      const std::size_t entry =
          s * static_cast<std::size_t>(batch.max_pages) + static_cast<std::size_t>(p / page_size_);
      const std::int32_t page = batch.page_table.at(entry);
      EXPECT_NE(page, kNullPage);
      const Slot& slot = slots_.at(static_cast<std::size_t>(page * page_size_ + p % page_size_));
      EXPECT_EQ(slot.position, p);
      visible.push_back(slot.token);
    }
    auto row = model_.logits(visible);
    if (visible.back() == nan_token) row[row.size() / 2] = std::nanf("");
    return row;
  }

  FakeModel model_;
  int page_size_;
  Sampler sampler_;
  std::vector<Slot> slots_;
  std::deque<Result> under_way_;
  std::vector<std::int32_t> drawn_;  // by the step that was started last
  Result last_;
};

}  // namespace quire
