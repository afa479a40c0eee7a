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
#include <utility>
#include <vector>

#include "engine/philox.h"
#include "engine/runner.h"
#include "engine/sampler.h"

namespace quire {

// A model of several kinds of layers, each with a group of the cache.
class FakeModel {
 public:
  explicit FakeModel(int vocab_size, std::vector<CacheGroup> groups = {CacheGroup{}})
      : vocab_size_(vocab_size), groups_(std::move(groups)) {}

  int vocab_size() const { return vocab_size_; }
  const std::vector<CacheGroup>& groups() const { return groups_; }
  int first_visible(std::size_t group, int position) const {
    return groups_[group].window > 0 ? std::max(0, position - groups_[group].window + 1) : 0;
  }

  // What a group's layers make of the tokens that they see, one after the other. That of no token is 0.
  static std::uint64_t absorb(std::uint64_t state, std::int32_t token) {
    return random_bits(state, static_cast<std::uint64_t>(token));
  }

  // `seen` is what each group has made of what the last token sees.
  std::vector<float> logits(std::span<const std::uint64_t> seen) const {
    std::uint64_t hash = seen[0];
    for (const std::uint64_t other : seen.subspan(1)) hash = random_bits(hash, other);
    std::vector<float> row;
    for (int v = 0; v < vocab_size_; ++v) {
      row.push_back(static_cast<float>(8.0 * random_uniform(hash, static_cast<std::uint64_t>(v)) - 4.0));
    }
    return row;
  }

  // Behind all of `tokens`, without any engine.
  std::vector<float> logits_behind(std::span<const std::int32_t> tokens) const {
    std::vector<std::uint64_t> seen;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      std::uint64_t state = 0;
      const auto from = static_cast<std::size_t>(first_visible(g, static_cast<int>(tokens.size()) - 1));
      for (const std::int32_t token : tokens.subspan(from)) state = absorb(state, token);
      seen.push_back(state);
    }
    return logits(seen);
  }

  // Greedy continuation, without any engine.
  std::vector<std::int32_t> generate(std::vector<std::int32_t> tokens, int num_tokens) const {
    const std::size_t prompt_len = tokens.size();
    for (int i = 0; i < num_tokens; ++i) {
      const auto row = logits_behind(tokens);
      tokens.push_back(static_cast<std::int32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
    }
    return {tokens.begin() + static_cast<std::ptrdiff_t>(prompt_len), tokens.end()};
  }

 private:
  int vocab_size_;
  std::vector<CacheGroup> groups_;
};

class FakeRunner : public Runner {
 public:
  FakeRunner(const FakeModel& model, int num_pages, int page_size)
      : model_(model), sampler_(model.vocab_size()) {
    std::size_t most_tokens = 1;
    for (const CacheGroup& group : model.groups()) {
      page_tokens_.push_back(page_size * group.page_scale);
      most_tokens = std::max(most_tokens, static_cast<std::size_t>(page_tokens_.back()));
    }
    pages_.assign(static_cast<std::size_t>(num_pages), std::vector<Slot>(most_tokens));
  }

  std::int32_t nan_token = -1;                           // a history that ends with it gives NaN
  std::int32_t throw_token = -1;                         // a batch that holds it makes the step fail
  int max_num_tokens = std::numeric_limits<int>::max();  // the budget that must be held
  int max_model_len = std::numeric_limits<int>::max();   // the last token of a sequence is never computed

  bool is_ahead = false;  // steps may be started ahead
  int num_ahead = 0;      // that were
  int num_random = 0;     // tokens drawn here at random

  bool runs_ahead() const override { return is_ahead; }

  // Computes at once, in the order of the steps. A failure shows when the step ends, as that of a device
  // does.
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
  // What lies in a page depends on the group that it serves: keys of tokens, or one state of `position`
  // tokens.
  struct Slot {
    std::size_t group = 0;
    std::int32_t token = -1;
    std::int32_t position = -1;
    std::uint64_t state = 0;
  };

  struct Result {
    std::vector<std::int32_t> tokens;
    std::vector<float> logits;
    std::exception_ptr failure;
  };

  void compute(const StepBatch& batch, Result& result) {
    EXPECT_EQ(batch.groups.size(), model_.groups().size());
    tokens_ = batch.token_ids;
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      if (batch.drawn_rows[i] >= 0)
        tokens_[i] = std::max(0, drawn_.at(static_cast<std::size_t>(batch.drawn_rows[i])));
      if (tokens_[i] == throw_token) throw std::runtime_error("the device fell over");
      EXPECT_LT(batch.positions[i], max_model_len - 1);
    }
    states_.assign(batch.groups.size(), {});
    for (std::size_t g = 0; g < batch.groups.size(); ++g) {
      model_.groups()[g].grows() ? write_keys(g, batch) : advance_states(g, batch);
    }
    std::size_t s = 0;
    for (std::size_t i = 0; i < batch.logit_rows.size(); ++i) {
      while (batch.query_indptr[s + 1] <= batch.logit_rows[i]) ++s;
      const std::vector<float> row = logits_of(batch, s, static_cast<std::size_t>(batch.logit_rows[i]));
      const bool has_nan = std::any_of(row.begin(), row.end(), [](float x) { return std::isnan(x); });
      num_random += !batch.wants_logits[i] && batch.draws[i].scale > 0.0f;
      result.tokens.push_back(batch.wants_logits[i] ? -77
                              : has_nan             ? kTokenIsNan
                                                    : sampler_.draw(row, batch.draws[i]));
      if (batch.wants_logits[i]) result.logits.insert(result.logits.end(), row.begin(), row.end());
    }
  }

  void write_keys(std::size_t g, const StepBatch& batch) {
    EXPECT_EQ(batch.groups[g].slot_mapping.size(), tokens_.size());
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      const std::int64_t slot = batch.groups[g].slot_mapping[i];
      EXPECT_GE(slot, page_tokens_[g]);  // never into the null page
      pages_.at(static_cast<std::size_t>(slot / page_tokens_[g]))
          .at(static_cast<std::size_t>(slot % page_tokens_[g])) = {g, tokens_[i], batch.positions[i], 0};
    }
  }

  void advance_states(std::size_t g, const StepBatch& batch) {
    EXPECT_EQ(batch.groups[g].max_pages, 1);
    for (std::size_t s = 0; s < static_cast<std::size_t>(batch.num_seqs); ++s) {
      EXPECT_NE(batch.groups[g].page_table.at(s), kNullPage);
      Slot& slot = pages_.at(static_cast<std::size_t>(batch.groups[g].page_table.at(s)))[0];
      for (auto i = static_cast<std::size_t>(batch.query_indptr[s]);
           i < static_cast<std::size_t>(batch.query_indptr[s + 1]); ++i) {
        if (batch.positions[i] == 0) slot = {g, -1, 0, 0};
        EXPECT_EQ(slot.group, g);
        EXPECT_EQ(slot.position, batch.positions[i]);
        slot.state = FakeModel::absorb(slot.state, tokens_[i]);
        ++slot.position;
        states_[g].push_back(slot.state);
      }
    }
  }

  std::vector<float> logits_of(const StepBatch& batch, std::size_t s, std::size_t i) {
    const int position = batch.positions[i];
    EXPECT_LT(position, batch.kv_len[s]);
    std::vector<std::uint64_t> seen;
    for (std::size_t g = 0; g < batch.groups.size(); ++g) {
      seen.push_back(model_.groups()[g].grows() ? seen_keys(g, batch.groups[g], s, position)
                                                : states_[g].at(i));
    }
    auto row = model_.logits(seen);
    if (tokens_[i] == nan_token) row[row.size() / 2] = std::nanf("");
    return row;
  }

  std::uint64_t seen_keys(std::size_t g, const GroupBatch& batch, std::size_t s, int position) const {
    std::uint64_t seen = 0;
    for (int p = model_.first_visible(g, position); p <= position; ++p) {
      const std::size_t entry =
          s * static_cast<std::size_t>(batch.max_pages) + static_cast<std::size_t>(p / page_tokens_[g]);
      const std::int32_t page = batch.page_table.at(entry);
      EXPECT_NE(page, kNullPage);
      const Slot& slot =
          pages_.at(static_cast<std::size_t>(page)).at(static_cast<std::size_t>(p % page_tokens_[g]));
      EXPECT_EQ(slot.group, g);
      EXPECT_EQ(slot.position, p);
      seen = FakeModel::absorb(seen, slot.token);
    }
    return seen;
  }

  FakeModel model_;
  std::vector<int> page_tokens_;  // of each group
  Sampler sampler_;
  std::vector<std::vector<Slot>> pages_;
  std::vector<std::int32_t> tokens_;  // of the step, those of the step before put in
  std::vector<std::vector<std::uint64_t>>
      states_;  // of the step: of each group that keeps states, behind each token
  std::deque<Result> under_way_;
  std::vector<std::int32_t> drawn_;  // by the step that was started last
  Result last_;
};

}  // namespace quire
