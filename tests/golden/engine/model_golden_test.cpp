// The decoder against the Hugging Face implementation: tests/golden/models/make_goldens.py says what the
// files hold.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>

#include "base/json.h"
#include "assembly/engine_factory.h"

namespace quire {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> golden_folders() {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(fs::path(QUIRE_SOURCE_DIR) / "tests/golden/models")) {
    if (fs::exists(entry.path() / "golden.json")) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

Json read_json(const fs::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return parse_json(text.str(), path.string());
}

class ModelGolden : public testing::TestWithParam<fs::path> {
 protected:
  ModelGolden()
      : config_(load_model_config(GetParam())),
        weights_(Weights::open(GetParam())),
        golden_(read_json(GetParam() / "golden.json")) {}

  LoadedEngine load(const EngineOptions& options) {
    const auto source = file_source(weights_);
    return make_engine(config_, options, *source);
  }

  static EngineOptions small_options() {
    EngineOptions options;
    options.kv_cache_bytes = 8 << 20;
    options.num_threads = 2;
    return options;
  }

  ModelConfig config_;
  Weights weights_;
  Json golden_;
};

std::vector<std::int32_t> generate(EngineCore& core, const std::vector<std::int32_t>& prompt,
                                   std::size_t num_tokens) {
  SamplingParams params;
  params.temperature = 0;
  params.max_tokens = static_cast<std::int64_t>(num_tokens);
  params.ignore_eos = true;
  core.submit(1, prompt, core.check(prompt, params));
  std::vector<std::int32_t> tokens;
  while (core.has_work()) {
    for (StepOutput& output : core.step()) {
      EXPECT_EQ(output.output.error, "");
      tokens.insert(tokens.end(), output.output.token_ids.begin(), output.output.token_ids.end());
    }
  }
  return tokens;
}

TEST_P(ModelGolden, GreedyTokens) {
  for (const int budget : {2048, 16}) {
    EngineOptions options = small_options();
    options.max_num_batched_tokens = options.max_num_seqs = budget;
    LoadedEngine engine = load(options);
    for (const Json& prompt : golden_.at("prompts")) {
      const auto expected = prompt.at("greedy").get<std::vector<std::int32_t>>();
      EXPECT_EQ(generate(*engine.core, prompt.at("tokens").get<std::vector<std::int32_t>>(), expected.size()),
                expected)
          << "step budget " << budget;
    }
  }
}

// One sequence from its first token, in pages that do not lie in order.
StepBatch whole_prompt(const std::vector<std::int32_t>& tokens, const std::vector<std::int32_t>& logit_rows,
                       const KvCacheConfig& cache) {
  StepBatch batch;
  batch.num_seqs = 1;
  batch.num_tokens = batch.max_query_len = batch.max_kv_len = static_cast<std::int32_t>(tokens.size());
  batch.token_ids = tokens;
  batch.positions.resize(tokens.size());
  std::iota(batch.positions.begin(), batch.positions.end(), 0);
  std::int32_t num_pages = 0;
  for (std::size_t g = 0; g < cache.groups.size(); ++g) {
    const int page_tokens = cache.page_tokens(g);
    GroupBatch& group = batch.groups.emplace_back();
    group.max_pages = (batch.num_tokens + page_tokens - 1) / page_tokens;
    for (int i = 0; i < group.max_pages; ++i) group.page_table.push_back(num_pages + group.max_pages - i);
    num_pages += group.max_pages;
    for (const std::int32_t i : batch.positions) {
      const std::int32_t page = group.page_table[static_cast<std::size_t>(i / page_tokens)];
      group.slot_mapping.push_back(std::int64_t{page} * page_tokens + i % page_tokens);
    }
  }
  batch.query_indptr = {0, batch.num_tokens};
  batch.kv_len = {batch.num_tokens};
  batch.logit_rows = logit_rows;
  batch.wants_logits.assign(logit_rows.size(), 1);
  batch.draws.assign(logit_rows.size(), TokenDraw{});
  batch.drawn_rows.assign(tokens.size(), -1);
  return batch;
}

TEST_P(ModelGolden, Logits) {
  EngineOptions options = small_options();
  LoadedEngine engine = load(options);
  for (const Json& prompt : golden_.at("prompts")) {
    std::vector<std::int32_t> positions;
    for (const Json& row : prompt.at("logits")) positions.push_back(row.at("position").get<std::int32_t>());
    const auto tokens = prompt.at("tokens").get<std::vector<std::int32_t>>();
    const auto logits =
        engine.runner->run(whole_prompt(tokens, positions, engine.engine_config.kv_cache)).logits;
    // An honest implementation in the stored precision is off by `noise`; ours may be off three times as
    // much.
    const double bound = std::max(3 * golden_.at("noise").get<double>(), 1e-4);
    for (std::size_t i = 0; i < positions.size(); ++i) {
      const auto expected = prompt.at("logits")[i].at("values").get<std::vector<double>>();
      for (std::size_t token = 0; token < expected.size(); ++token) {
        const double found = logits[i * expected.size() + token];
        ASSERT_TRUE(std::abs(found - expected[token]) <= bound)
            << "position " << positions[i] << " token " << token << ": " << found << " for "
            << expected[token];
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ModelGolden, testing::ValuesIn(golden_folders()),
                         [](const auto& folder) { return folder.param.filename().string(); });

TEST(ModelGoldenFolders, AreThere) { EXPECT_GE(golden_folders().size(), 8u); }

}  // namespace
}  // namespace quire
