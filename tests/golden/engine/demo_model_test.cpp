// The demo model end to end: answers to held-out questions, and the same greedy tokens however the work is cut.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>

#include "base/json.h"
#include "assembly/engine_factory.h"

namespace quire {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(QUIRE_SOURCE_DIR) / "models/demo";

struct Question {
  std::string prompt, answer;
  int num_tokens;
};

// Held-out questions, those of at most `max_tokens` tokens of story or those above.
std::vector<Question> held_out(int max_tokens, bool above) {
  std::vector<Question> questions;
  std::ifstream file(kFolder / "heldout.jsonl");
  for (std::string line; std::getline(file, line);) {
    const Json json = parse_json(line, "heldout.jsonl");
    const int num_tokens = json.at("num_tokens");
    if ((num_tokens > max_tokens) == above) questions.push_back({json.at("prompt"), json.at("answer"), num_tokens});
  }
  return questions;
}

constexpr int kNumLogprobs = 20;

struct Generated {
  std::vector<std::int32_t> tokens;
  std::vector<std::map<std::int32_t, float>> logprobs;  // of the likeliest tokens, for each token drawn
  std::string text;
  bool operator==(const Generated&) const = default;
};

struct Variant {
  std::string name;
  EngineOptions options;
  int preempt_every = 0;  // steps between forced preemptions of a random request; 0 = never
  int logprobs_every = 1;  // requests of which one asks for logprobs: the others' tokens are drawn on the device; 0 = none asks
  bool is_random = false;  // two of three requests are
};

EngineOptions base_options() {
  EngineOptions options;
  options.kv_cache_bytes = 64 << 20;
  options.num_threads = 2;
  return options;
}

// Submits all questions at once and drives the engine to the end.
std::vector<Generated> ask(const Variant& variant, const std::vector<Question>& questions) {
  EngineOptions options = variant.options;
  options.max_num_seqs = std::min(options.max_num_seqs, options.max_num_batched_tokens);
  LoadedEngine engine = load_engine(kFolder, options);
  SamplingParams params;
  params.temperature = 0;
  params.max_tokens = 48;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const auto every = static_cast<std::size_t>(variant.logprobs_every);
    params.temperature = variant.is_random && i % 3 != 0 ? 2.0 : 0.0;
    params.seed = static_cast<std::int64_t>(i);
    params.top_k = i % 4 == 1 ? 40 : 0;
    params.top_p = i % 5 < 2 ? 0.99 : 1.0;
    params.min_p = i % 7 == 2 ? 1e-4 : 0.0;
    params.logprobs = every > 0 && i % every == 0 ? std::optional<std::int64_t>(kNumLogprobs) : std::nullopt;
    const std::string text = "<|im_start|>user\n" + questions[i].prompt + "<|im_end|>\n<|im_start|>assistant\n";
    std::vector<std::int32_t> tokens = engine.tokenizer->encode(text, {.add_special_tokens = true, .parse_special = true});
    engine.core->submit(i + 1, tokens, engine.core->check(tokens, params));
  }
  std::vector<Generated> results(questions.size());
  std::mt19937 random(7);
  for (int step = 1; engine.core->has_work(); ++step) {
    for (StepOutput& out : engine.core->step()) {
      EXPECT_EQ(out.output.error, "");
      Generated& result = results[out.id - 1];
      result.text += out.output.text;
      result.tokens.insert(result.tokens.end(), out.output.token_ids.begin(), out.output.token_ids.end());
      for (const TokenLogprobs& token : out.output.logprobs) {
        auto& likely = result.logprobs.emplace_back();
        for (const TokenLogprob& top : token.top) likely[top.token] = top.logprob;
        likely[token.chosen.token] = token.chosen.logprob;
      }
    }
    if (variant.preempt_every > 0 && step % variant.preempt_every == 0) engine.core->preempt(random() % questions.size() + 1);
  }
  return results;
}

std::vector<Generated> ask_one_by_one(const Variant& variant, const std::vector<Question>& questions) {
  std::vector<Generated> results;
  for (const Question& question : questions) results.push_back(ask(variant, {question})[0]);
  return results;
}

// 32 questions, half of them about stories that others ask about too, so that prefixes are shared.
std::vector<Question> mixed_questions() {
  std::vector<Question> questions = held_out(400, false);
  questions.resize(std::min<std::size_t>(questions.size(), 16));
  for (std::size_t i = 0; i < 16 && i < questions.size(); ++i) {
    Question again = questions[i];
    again.prompt += i % 2 == 0 ? "" : " Please tell me.";
    questions.push_back(again);
  }
  return questions;
}

void expect_same_tokens(const std::vector<Generated>& found, const std::vector<Generated>& expected, const std::string& what,
                        double logprob_bound) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].tokens, expected[i].tokens) << what << ", question " << i << ": " << found[i].text;
    ASSERT_EQ(found[i].logprobs.size(), expected[i].logprobs.size()) << what;
    for (std::size_t t = 0; t < found[i].logprobs.size(); ++t) {
      std::size_t num_common = 0;  // the least likely ones may change places
      for (const auto& [token, logprob] : found[i].logprobs[t]) {
        const auto same = expected[i].logprobs[t].find(token);
        if (same == expected[i].logprobs[t].end()) continue;
        ++num_common;
        // Rounding moves a logit in proportion to its size: an unlikely token's more.
        EXPECT_NEAR(logprob, same->second, logprob_bound * (1 + std::abs(same->second))) << what << ", question " << i;
      }
      EXPECT_GE(num_common, kNumLogprobs - 2u) << what << ", question " << i;
    }
  }
}

std::vector<Variant> variants() {
  std::vector<Variant> all;
  const auto add = [&](const std::string& name, auto change) {
    Variant variant{name, base_options(), 0, 1};
    change(variant);
    all.push_back(variant);
  };
  add("prefix cache off", [](Variant& v) { v.options.prefix_cache = false; });
  for (const int budget : {1, 7, 64, 512, 4096}) {
    add("chunk budget " + std::to_string(budget), [&](Variant& v) { v.options.max_num_batched_tokens = budget; });
  }
  for (const int page_size : {1, 16, 48, 128}) {
    add("page size " + std::to_string(page_size), [&](Variant& v) { v.options.page_size = page_size; });
  }
  add("forced preemption", [](Variant& v) { v.preempt_every = 5; });
  add("forced preemption, prefix cache off", [](Variant& v) {
    v.preempt_every = 7;
    v.options.prefix_cache = false;
  });
  for (const bool ahead : {false, true}) {
    add(ahead ? "graphs, running ahead" : "graphs", [&](Variant& v) {
      v.options.graphs = true;
      v.options.run_ahead = ahead;
    });
  }
  add("running ahead", [](Variant& v) { v.options.run_ahead = true; });
  add("running ahead, forced preemption", [](Variant& v) {
    v.options.run_ahead = v.options.graphs = true;
    v.options.max_num_batched_tokens = 64;
    v.preempt_every = 5;
  });
  add("one thread", [](Variant& v) { v.options.num_threads = 1; });
  return all;
}

// Differences between the variants come from where sequences are split alone; bf16 rounding bounds them.
TEST(DemoModel, SameTokensHoweverTheWorkIsCut) {
  const std::vector<Question> questions = mixed_questions();
  ASSERT_EQ(questions.size(), 32u);
  const Variant alone{"alone", base_options(), 0, 1};
  const std::vector<Generated> expected = ask_one_by_one(alone, questions);
  expect_same_tokens(ask({"together", base_options(), 0, 1}, questions), expected, "together", 0.05);
  for (const Variant& variant : variants()) expect_same_tokens(ask(variant, questions), expected, variant.name, 0.05);
}

TEST(DemoModel, SameTokensDrawnOnTheDevice) {
  const std::vector<Question> questions = mixed_questions();
  const std::vector<Generated> expected = ask({"on the host", base_options(), 0, 1}, questions);
  for (const int every : {0, 3}) {
    for (const bool ahead : {false, true}) {
      Variant variant{"", base_options(), ahead ? 5 : 0, every};
      variant.options.graphs = variant.options.run_ahead = ahead;
      const std::vector<Generated> found = ask(variant, questions);
      for (std::size_t i = 0; i < questions.size(); ++i) {
        EXPECT_EQ(found[i].tokens, expected[i].tokens) << "one of " << every << " asks for logprobs, ahead: " << ahead;
      }
    }
  }
}

TEST(DemoModel, SameRandomTokensDrawnOnTheDevice) {
  const std::vector<Question> questions = mixed_questions();
  Variant variant{"", base_options(), 0, 1, true};
  variant.options.batch_invariant = true;
  const std::vector<Generated> expected = ask(variant, questions), greedy = ask({"", variant.options, 0, 1, false}, questions);
  for (const int every : {0, 3}) {
    for (const bool ahead : {false, true}) {
      variant.logprobs_every = every;
      variant.preempt_every = ahead ? 5 : 0;
      variant.options.graphs = variant.options.run_ahead = ahead;
      const std::vector<Generated> found = ask(variant, questions);
      for (std::size_t i = 0; i < questions.size(); ++i) {
        EXPECT_EQ(found[i].tokens, expected[i].tokens) << "one of " << every << " asks for logprobs, ahead: " << ahead;
      }
    }
  }
  std::size_t num_different = 0;
  for (std::size_t i = 0; i < questions.size(); ++i) num_different += expected[i].tokens != greedy[i].tokens;
  EXPECT_GT(num_different, 0u);
}

TEST(DemoModel, SameBitsInInvariantMode) {
  const std::vector<Question> questions = mixed_questions();
  Variant alone{"alone", base_options(), 0, 1};
  alone.options.batch_invariant = true;
  const std::vector<Generated> expected = ask_one_by_one(alone, questions);
  for (Variant variant : variants()) {
    variant.options.batch_invariant = true;
    EXPECT_EQ(ask(variant, questions), expected) << variant.name;
  }
}

double accuracy(const std::vector<Question>& questions) {
  const std::vector<Generated> answers = ask({"", base_options(), 0, 1}, questions);
  int num_right = 0;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    num_right += answers[i].text == questions[i].answer;
    if (answers[i].text != questions[i].answer) {
      std::printf("wrong: \"%s\" for \"%s\"\n", answers[i].text.c_str(), questions[i].answer.c_str());
    }
  }
  return double(num_right) / double(questions.size());
}

TEST(DemoModel, AnswersHeldOutQuestions) {
  std::vector<Question> short_ones = held_out(1000, false), long_ones = held_out(1000, true);
  ASSERT_GE(short_ones.size(), 100u);
  ASSERT_GE(long_ones.size(), 20u);
  short_ones.resize(100);
  long_ones.resize(20);
  const double of_short = accuracy(short_ones), of_long = accuracy(long_ones);
  std::printf("exact answers: %.1f %% of %zu up to 1,000 tokens, %.1f %% of %zu at about 3,500\n", 100 * of_short,
              short_ones.size(), 100 * of_long, long_ones.size());
  EXPECT_GE(of_short, 0.95);
  EXPECT_GE(of_long, 0.85);
}

// Files disagree about the end: any token that one of them names is one.
TEST(DemoModelFiles, TheTokenizersEndTokenEndsAnswers) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / "quire_end_token";
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "model.safetensors"}) {
    fs::create_symlink(kFolder / name, folder / name);
  }
  std::ifstream source(kFolder / "config.json");
  Json config = Json::parse(source);
  config["eos_token_id"] = 0;
  std::ofstream(folder / "config.json") << config;
  const LoadedEngine loaded = load_engine(folder, base_options());
  const std::int32_t end = loaded.tokenizer->token_to_id(loaded.defaults.eos_token).value();
  std::vector<std::int32_t> expected = {0, end};
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(loaded.engine_config.eos_tokens, expected);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace quire
