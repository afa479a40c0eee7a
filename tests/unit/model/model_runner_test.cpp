// What a runner gives back of a step: the tokens that it drew and the logits that were wanted, in their
// order.
#include "model/model_runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "unit/error_message.h"
#include "unit/model/device_arrays.h"
#include "unit/model/reference_decoder.h"

namespace quire {
namespace {

constexpr int kPageSize = 16, kLen = 9;

ModelConfig small_config() {
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.num_layers = 2;
  config.hidden_dim = 24;
  config.intermediate_dim = 40;
  config.num_qo_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 8;
  config.vocab_size = 61;
  config.max_position = 64;
  config.window_lens = {0, 0};
  return config;
}

// A runner, and the logits of a prompt in float64.
struct Problem {
  explicit Problem(const ModelConfig& c, bool runs_ahead = false) : config(c) {
    auto device = open_cpu();
    const ModelPlan plan = plan_model(*device, config, kPageSize, false);
    HashedSource source;
    DecoderOptions options;
    options.page_size = kPageSize;
    options.num_pages = 3;
    options.max_model_len = 64;
    auto decoder = std::make_unique<DecoderModel>(*device, config, plan,
                                                  load_model_weights(*device, config, source), options);
    runner = std::make_unique<ModelRunner>(std::move(device), std::move(decoder), runs_ahead);
    for (int i = 0; i < kLen; ++i) tokens.push_back((i * 17 + 5) % config.vocab_size);
    expected = ReferenceDecoder(config, plan).logits(tokens);
  }

  // The prompt in one step, with a logit row for each token.
  StepBatch batch(const std::vector<std::uint8_t>& wants_logits) const {
    StepBatch batch;
    batch.num_seqs = 1;
    batch.num_tokens = batch.max_query_len = batch.max_kv_len = kLen;
    batch.token_ids = tokens;
    batch.positions.resize(kLen);
    std::iota(batch.positions.begin(), batch.positions.end(), 0);
    batch.query_indptr = {0, kLen};
    batch.kv_len = {kLen};
    batch.groups.resize(1);
    batch.groups[0].max_pages = 1;
    batch.groups[0].page_table = {1};
    for (int i = 0; i < kLen; ++i) batch.groups[0].slot_mapping.push_back(kPageSize + i);
    batch.logit_rows = batch.positions;
    batch.wants_logits = wants_logits;
    batch.draws.resize(kLen);
    batch.drawn_rows.assign(kLen, -1);
    return batch;
  }

  void check(const StepResult& result, const std::vector<std::uint8_t>& wants_logits) const {
    const auto vocab_size = static_cast<std::size_t>(config.vocab_size);
    ASSERT_EQ(result.tokens.size(), wants_logits.size());
    ASSERT_EQ(result.logits.size(),
              static_cast<std::size_t>(std::count(wants_logits.begin(), wants_logits.end(), 1)) * vocab_size);
    std::size_t row_of_logits = 0;
    for (std::size_t row = 0; row < wants_logits.size(); ++row) {
      const std::vector<double>& of_row = expected[row];
      if (wants_logits[row] == 0) {
        const auto likeliest = std::max_element(of_row.begin(), of_row.end()) - of_row.begin();
        EXPECT_EQ(result.tokens[row], likeliest) << "row " << row;
        continue;
      }
      for (std::size_t i = 0; i < vocab_size; ++i)
        ASSERT_NEAR(result.logits[row_of_logits * vocab_size + i], of_row[i], 2e-4)
            << "row " << row << ", logit " << i;
      ++row_of_logits;
    }
  }

  const ModelConfig config;
  std::unique_ptr<ModelRunner> runner;
  std::vector<std::int32_t> tokens;
  ReferenceDecoder::Rows expected;
};

TEST(ModelRunner, GivesTokensAndTheLogitsThatAreWanted) {
  Problem problem(small_config());
  EXPECT_TRUE(problem.runner->draws_tokens());
  const std::vector<std::vector<std::uint8_t>> cases = {
      {0, 0, 0, 0, 0, 0, 0, 0, 0}, {1, 1, 1, 1, 1, 1, 1, 1, 1},
      {0, 0, 1, 1, 1, 0, 0, 0, 0},  // neighbours: one copy
      {1, 0, 0, 1, 1, 0, 1, 0, 1},  // no neighbours
      {0, 0, 0, 0, 0, 0, 0, 0, 1},
  };
  for (const auto& wants : cases) problem.check(problem.runner->run(problem.batch(wants)), wants);
}

TEST(ModelRunner, CapsLogitsOnTheHost) {
  ModelConfig config = small_config();
  config.logits_soft_cap = 1.5;
  Problem problem(config);
  EXPECT_FALSE(problem.runner->draws_tokens());
  for (const auto& wants :
       {std::vector<std::uint8_t>(kLen, 1), std::vector<std::uint8_t>{1, 0, 1, 0, 1, 0, 1, 0, 1}}) {
    const StepResult result = problem.runner->run(problem.batch(wants));
    problem.check(result, wants);
    for (const float x : result.logits) ASSERT_LE(std::abs(x), 1.5f);
  }
}

TEST(ModelRunner, TwoStepsMayBeInFlightAndEndInTheirOrder) {
  Problem problem(small_config(), true);
  EXPECT_TRUE(problem.runner->runs_ahead());
  const std::vector<std::uint8_t> none(kLen, 0);
  StepBatch other = problem.batch(none);
  other.logit_rows = {2, 5};
  other.wants_logits = {0, 0};
  other.draws.resize(2);
  problem.runner->start(problem.batch(none));
  problem.runner->start(other);
  message_of([&] { problem.runner->start(other); }, ErrorKind::kInternal);
  problem.check(problem.runner->finish(), none);
  const StepResult second = problem.runner->finish();
  ASSERT_EQ(second.tokens.size(), 2u);
  for (const std::size_t i : {0u, 1u}) {
    const std::vector<double>& row = problem.expected[i == 0 ? 2 : 5];
    EXPECT_EQ(second.tokens[i], std::max_element(row.begin(), row.end()) - row.begin());
  }
}

TEST(ModelRunner, OneStepAtATimeWithoutRunningAhead) {
  Problem problem(small_config());
  const std::vector<std::uint8_t> none(kLen, 0);
  message_of([&] { problem.runner->finish(); }, ErrorKind::kInternal);
  problem.runner->start(problem.batch(none));
  message_of([&] { problem.runner->start(problem.batch(none)); }, ErrorKind::kInternal);
  problem.check(problem.runner->finish(), none);
}

}  // namespace
}  // namespace quire
