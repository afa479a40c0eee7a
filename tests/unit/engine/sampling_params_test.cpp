#include "engine/sampling_params.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "base/error.h"

namespace quire {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(),
                 kInf = std::numeric_limits<double>::infinity();
constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

SamplingLimits limits() {
  SamplingLimits limits;
  limits.vocab_size = 100;
  return limits;
}

using P = SamplingParams;

struct Case {
  const char* field;
  SamplingParams params;
  const char* names;  // must appear in the message beside the field
};

template <class Change>
SamplingParams with(Change change) {
  SamplingParams params;
  change(params);
  return params;
}

std::string message_of(const SamplingParams& params, const SamplingLimits& allowed = limits()) {
  try {
    checked_sampling_params(params, allowed);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
    return error.what();
  }
  return "";
}

TEST(SamplingParams, RefusesWithFieldValueAndRange) {
  const Case cases[] = {
      {"temperature", with([](P& p) { p.temperature = -0.1; }), "-0.1"},
      {"temperature", with([](P& p) { p.temperature = 2.5; }), "[0, 2]"},
      {"temperature", with([](P& p) { p.temperature = kNan; }), "nan"},
      {"temperature", with([](P& p) { p.temperature = kInf; }), "inf"},
      {"top_k", with([](P& p) { p.top_k = -2; }), "-2"},
      {"top_k", with([](P& p) { p.top_k = kHuge; }), "9223372036854775807"},
      {"top_p", with([](P& p) { p.top_p = 0.0; }), "(0, 1]"},
      {"top_p", with([](P& p) { p.top_p = 1.01; }), "1.01"},
      {"top_p", with([](P& p) { p.top_p = kNan; }), "nan"},
      {"min_p", with([](P& p) { p.min_p = -0.5; }), "-0.5"},
      {"min_p", with([](P& p) { p.min_p = 1.5; }), "1.5"},
      {"presence_penalty", with([](P& p) { p.presence_penalty = 2.1; }), "2.1"},
      {"frequency_penalty", with([](P& p) { p.frequency_penalty = -2.1; }), "-2.1"},
      {"repetition_penalty", with([](P& p) { p.repetition_penalty = 0.0; }), "0"},
      {"repetition_penalty", with([](P& p) { p.repetition_penalty = kInf; }), "inf"},
      {"logit_bias", with([](P& p) {
         p.logit_bias = {{100, 1.0}};
       }),
       "100"},
      {"logit_bias", with([](P& p) {
         p.logit_bias = {{-1, 1.0}};
       }),
       "-1"},
      {"logit_bias", with([](P& p) {
         p.logit_bias = {{1, kNan}};
       }),
       "nan"},
      {"max_tokens", with([](P& p) { p.max_tokens = -1; }), "-1"},
      {"max_tokens", with([](P& p) { p.max_tokens = kHuge; }), "9223372036854775807"},
      {"min_tokens", with([](P& p) { p.min_tokens = -1; }), "-1"},
      {"min_tokens", with([](P& p) {
         p.max_tokens = 3;
         p.min_tokens = 4;
       }),
       "[0, 3]"},
      {"stop", with([](P& p) { p.stop = {""}; }), "empty"},
      {"stop", with([](P& p) { p.stop = {std::string(2000, 'x')}; }), "2000"},
      {"stop", with([](P& p) {
         p.stop = {"a", "b", "c", "d", "e"};
       }),
       "5"},
      {"stop_token_ids", with([](P& p) { p.stop_token_ids.resize(2000); }), "2000"},
      {"logprobs", with([](P& p) { p.logprobs = 21; }), "[0, 20]"},
      {"logprobs", with([](P& p) { p.logprobs = -1; }), "-1"},
      {"priority", with([](P& p) { p.priority = 1; }), "1"},
      {"cache_salt", with([](P& p) { p.cache_salt = ""; }), "0 bytes"},
      {"cache_salt", with([](P& p) { p.cache_salt = std::string(257, 'a'); }), "257"},
      {"cache_salt", with([](P& p) { p.cache_salt = "a\nb"; }), "0x0a"},
      {"cache_salt", with([](P& p) { p.cache_salt = "\xc3\xa9"; }), "0xc3"},
  };
  for (const Case& c : cases) {
    const std::string message = message_of(c.params);
    EXPECT_EQ(message.rfind(c.field, 0), 0u) << c.field << ": " << message;
    EXPECT_NE(message.find(c.names), std::string::npos) << c.field << ": " << message;
  }
}

TEST(SamplingParams, AcceptsTheEdges) {
  for (const SamplingParams& params :
       {SamplingParams{}, with([](P& p) { p.temperature = 0.0; }), with([](P& p) { p.temperature = 2.0; }),
        with([](P& p) { p.top_k = -1; }), with([](P& p) { p.top_k = 1000; }),
        with([](P& p) { p.top_p = 1e-9; }), with([](P& p) { p.min_p = 1.0; }),
        with([](P& p) { p.presence_penalty = -2.0; }), with([](P& p) { p.repetition_penalty = 0.1; }),
        with([](P& p) { p.max_tokens = 0; }), with([](P& p) { p.max_tokens = 1; }),
        with([](P& p) { p.logprobs = 0; }), with([](P& p) { p.logprobs = 20; }),
        with([](P& p) { p.stop_token_ids = {-5}; }), with([](P& p) { p.cache_salt = std::string(256, '~'); }),
        with([](P& p) { p.seed = -1; })}) {
    EXPECT_EQ(message_of(params), "");
  }
  SamplingLimits with_priorities = limits();
  with_priorities.has_priorities = true;
  EXPECT_EQ(message_of(with([](P& p) { p.priority = -3; }), with_priorities), "");
  SamplingLimits without_text = limits();
  without_text.has_text = false;
  EXPECT_NE(message_of(with([](P& p) { p.stop = {"x"}; }), without_text).find("no tokenizer"),
            std::string::npos);
}

TEST(SamplingParams, ClampsWhatIsClamped) {
  SamplingParams params;
  params.temperature = 1e-4;
  params.logit_bias = {{1, 1e9}, {2, -kInf}, {3, 5.0}};
  const SamplingParams checked = checked_sampling_params(params, limits());
  EXPECT_EQ(checked.temperature, 0.01);
  EXPECT_EQ(checked.logit_bias[0].second, 100.0);
  EXPECT_EQ(checked.logit_bias[1].second, -100.0);
  EXPECT_EQ(checked.logit_bias[2].second, 5.0);
  params.temperature = 1e-6;
  EXPECT_TRUE(is_greedy(checked_sampling_params(params, limits())));
}

}  // namespace
}  // namespace quire
