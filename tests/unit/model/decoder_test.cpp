// The decoder against a float64 one, for what a configuration can ask of attention, norms and cache.
#include "model/decoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "base/error.h"
#include "device/registry.h"
#include "assembly/engine_factory.h"
#include "reference_decoder.h"
#include "targets/cpu/cpu_device.h"

namespace quire {
namespace {

constexpr int kPageSize = 4;

ModelConfig small_config() {
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.num_layers = 4;
  config.hidden_dim = 24;
  config.intermediate_dim = 40;
  config.num_qo_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 8;
  config.vocab_size = 61;
  config.max_position = 200;
  config.window_lens = {0, 0, 0, 0};
  return config;
}

struct Case {
  const char* name;
  std::function<void(ModelConfig&)> change;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

void soft_capped_windows(ModelConfig& c) {
  c.window_lens = {9, 0, 9, 0};
  c.attention_soft_cap = 1.5;
}
void gemma_2(ModelConfig& c) {
  soft_capped_windows(c);
  c.norm_placement = NormPlacement::kBeforeAndBehind;
  c.norm_adds_one = c.scales_embedding = c.tie_word_embeddings = true;
  c.logits_soft_cap = 4.0;
  c.attention_scale = 0.25;
  c.activation = Activation::kGeluTanh;
}

const Case kCases[] = {
    {"Plain", [](ModelConfig&) {}},
    {"SoftCapAlternatingWindows", soft_capped_windows},
    {"Gemma2", gemma_2},
    {"SinksAlternatingWindows",
     [](ModelConfig& c) {
       c.window_lens = {6, 0, 6, 0};
       c.has_sinks = c.qkv_bias = c.o_bias = true;
     }},
    {"Alibi", [](ModelConfig& c) { c.position = PositionEncoding::kAlibi; }},
    {"AlibiSinksSoftCap",
     [](ModelConfig& c) {
       c.position = PositionEncoding::kAlibi;
       c.has_sinks = true;
       c.attention_soft_cap = 2.0;
     }},
    {"WindowsOfSeveralLengths",
     [](ModelConfig& c) {
       c.window_lens = {5, 12, 0, 30};
     }},
    {"OneLayerOfFourSeesAll",
     [](ModelConfig& c) {
       c.window_lens = {7, 7, 7, 0};
     }},
    {"EveryLayerHasAWindow",
     [](ModelConfig& c) {
       c.window_lens = {7, 7, 7, 7};
     }},
    {"LinearRope",
     [](ModelConfig& c) {
       c.rope.type = RopeType::kLinear;
       c.rope.factor = 4;
     }},
    {"Llama3Rope",
     [](ModelConfig& c) {
       c.rope.type = RopeType::kLlama3;
       c.rope.theta = 100;  // of the four pairs some are plain, some between, some stretched
       c.rope.factor = 8;
       c.rope.original_max_position = 64;
     }},
    {"YarnRope",
     [](ModelConfig& c) {
       c.rope.type = RopeType::kYarn;
       c.rope.theta = 100;
       c.rope.factor = 4;
       c.rope.original_max_position = 128;
       c.rope.beta_fast = 8;
     }},
    {"SixLayersOneSeesAll",
     [](ModelConfig& c) {
       c.window_lens = {5, 5, 5, 5, 5, 0};
       c.num_layers = 6;
       c.qk_norm = true;
     }},
};

std::vector<std::int32_t> prompt_of(int len, int vocab_size) {
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < len; ++i)
    tokens.push_back(
        static_cast<int>(random_bits(5, static_cast<std::uint64_t>(i)) % static_cast<unsigned>(vocab_size)));
  return tokens;
}

EngineOptions small_options() {
  EngineOptions options;
  options.page_size = kPageSize;
  options.num_threads = 2;
  options.kv_cache_bytes = 4 << 20;
  options.max_num_seqs = options.max_num_batched_tokens = 16;
  return options;
}

double log_sum(const std::vector<double>& row) {
  double sum = 0;
  for (const double x : row) sum += std::exp(x);
  return std::log(sum);
}

// Runs a request to its end; checks the log-probability of each token that it draws.
void check_answer(EngineCore& core, RequestId id, const ReferenceDecoder& reference,
                  std::vector<std::int32_t> tokens, int num_tokens) {
  SamplingParams params;
  params.temperature = 0;
  params.max_tokens = num_tokens;
  params.logprobs = 0;
  core.submit(id, tokens, core.check(tokens, params));
  const std::size_t prompt_len = tokens.size();
  std::vector<TokenLogprobs> found;
  while (core.has_work()) {
    for (StepOutput& output : core.step()) {
      ASSERT_EQ(output.output.error, "");
      tokens.insert(tokens.end(), output.output.token_ids.begin(), output.output.token_ids.end());
      found.insert(found.end(), output.output.logprobs.begin(), output.output.logprobs.end());
    }
    core.scheduler().check_integrity();
  }
  ASSERT_EQ(tokens.size(), prompt_len + static_cast<std::size_t>(num_tokens));
  const ReferenceDecoder::Rows rows = reference.logits(tokens);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::vector<double>& row = rows[prompt_len - 1 + i];
    const double expected = row[static_cast<std::size_t>(tokens[prompt_len + i])] - log_sum(row);
    ASSERT_NEAR(found[i].chosen.logprob, expected, 2e-4) << "token " << i;
  }
}

class DecoderCases : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(All, DecoderCases, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

// Prompts in chunks, answers token by token, the pages of windows given back on the way, and a prompt whose
// beginning is cached.
TEST_P(DecoderCases, AnswersAsTheReference) {
  for (const bool has_graphs : {false, true}) {
    ModelConfig config = small_config();
    GetParam().change(config);
    EngineOptions options = small_options();
    options.graphs = options.run_ahead = has_graphs;
    HashedSource source;
    LoadedEngine engine = make_engine(config, options, source);
    const ModelPlan plan = plan_model(engine.runner->device(), config, kPageSize, false);
    const ReferenceDecoder reference(config, plan);
    const std::vector<std::int32_t> prompt = prompt_of(37, config.vocab_size);
    ASSERT_NO_FATAL_FAILURE(check_answer(*engine.core, 1, reference, prompt, 30));
    ASSERT_NO_FATAL_FAILURE(check_answer(*engine.core, 2, reference, prompt, 4));
    EXPECT_GT(engine.core->stats().prefix_hit_tokens, 0);
    engine.core->idle();
    EXPECT_EQ(engine.core->stats().num_repairs, 0);
  }
}

// What differs between layers in anything may not share an operator, whatever else is equal.
TEST(Decoder, LayersThatDifferInAnythingComputeTheirOwn) {
  TargetRegistry registry;
  register_cpu_target(registry);
  const auto device = registry.open("cpu", {});
  ModelConfig config = small_config();
  config.has_sinks = true;
  const std::function<void(AttentionDesc&)> changes[] = {
      [](AttentionDesc& d) { d.logits_soft_cap = 0.7f; },
      [](AttentionDesc& d) { d.sm_scale *= 3; },
      [](AttentionDesc& d) { d.has_sinks = false; },
      [](AttentionDesc& d) { d.window = 3; },
  };
  for (const auto& change : changes) {
    ModelPlan plan = plan_model(*device, config, kPageSize, false);
    for (const std::size_t layer : {1, 3})
      change(std::get<GroupedAttention>(plan.layers[layer].attention).desc);
    const std::vector<std::int32_t> prompt = prompt_of(20, config.vocab_size);
    const ReferenceDecoder::Rows expected = ReferenceDecoder(config, plan).logits(prompt);
    HashedSource source;
    DecoderOptions options;
    options.page_size = kPageSize;
    options.num_pages = 10;
    options.max_model_len = 64;
    DecoderModel decoder(*device, config, plan, load_model_weights(*device, config, source), options);
    StepBatch batch;
    batch.num_seqs = 1;
    batch.num_tokens = batch.max_query_len = batch.max_kv_len = 20;
    batch.token_ids = prompt;
    batch.positions.resize(20);
    std::iota(batch.positions.begin(), batch.positions.end(), 0);
    batch.groups.resize(1);
    batch.groups[0].max_pages = 5;
    batch.groups[0].page_table = {1, 2, 3, 4, 5};
    for (int i = 0; i < 20; ++i) batch.groups[0].slot_mapping.push_back(kPageSize + i);
    batch.query_indptr = {0, 20};
    batch.kv_len = {20};
    batch.logit_rows = {19};
    batch.wants_logits = {1};
    batch.draws.resize(1);
    batch.drawn_rows.assign(20, -1);
    decoder.forward(batch);
    std::vector<float> logits(static_cast<std::size_t>(config.vocab_size));
    device->copy_to_host(logits.data(), reinterpret_cast<const std::byte*>(decoder.logits()),
                         logits.size() * sizeof(float));
    for (std::size_t i = 0; i < logits.size(); ++i)
      ASSERT_NEAR(logits[i], expected[19][i], 2e-4) << "logit " << i;
  }
}

// A model whose layers see different windows keeps of a sequence only what they see.
TEST(Decoder, LayersWithWindowsKeepOnlyTheirWindows) {
  ModelConfig config = small_config();
  config.window_lens = {8, 0, 8, 0};
  HashedSource source;
  LoadedEngine engine = make_engine(config, small_options(), source);
  const KvCacheConfig& cache = engine.engine_config.kv_cache;
  ASSERT_EQ(cache.groups, (std::vector<CacheGroup>{CacheGroup{}, window_group(8)}));
  SamplingParams params;
  params.temperature = 0;
  params.max_tokens = 90;
  params.ignore_eos = true;
  const std::vector<std::int32_t> prompt = prompt_of(100, config.vocab_size);
  engine.core->submit(1, prompt, engine.core->check(prompt, params));
  std::int64_t num_held = 0;
  int len = 0;
  while (engine.core->has_work()) {
    for (const StepOutput& output : engine.core->step()) len = 100 + output.output.output_len;
    if (engine.core->has_work()) num_held = engine.core->stats().num_held_pages;
  }
  EXPECT_EQ(len, 190);
  // Behind the step before the last one 188 tokens were computed: 47 pages of 4 tokens in the layers that see
  // all, and in the others the 2 of the 8 last ones.
  EXPECT_EQ(num_held, 47 + 2);
}

TEST(Decoder, TheBackendIsTheCallersChoice) {
  ModelConfig config = small_config();
  gemma_2(config);
  EngineOptions options = small_options();
  HashedSource source;
  EXPECT_EQ(make_engine(config, options, source).runner->decoder().backend(), "unified");
  options.attention_backend = "reference";
  LoadedEngine engine = make_engine(config, options, source);
  EXPECT_EQ(engine.runner->decoder().backend(), "reference");
  const ModelPlan plan = plan_model(engine.runner->device(), config, kPageSize, false);
  check_answer(*engine.core, 1, ReferenceDecoder(config, plan), prompt_of(20, config.vocab_size), 5);
  options.attention_backend = "flash";
  try {
    make_engine(config, options, source);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
    EXPECT_STREQ(error.what(), "no attention backend \"flash\"; this build has: unified, reference");
  }
}

}  // namespace
}  // namespace quire
