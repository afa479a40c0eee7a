#include "files/generation_config.h"

#include <gtest/gtest.h>

#include "model_folder.h"

namespace quire {
namespace {

TEST(GenerationConfig, EndTokensAddUp) {
  const ModelFolder folder;
  folder.write("config.json", R"({"eos_token_id": 7, "bos_token_id": 1, "pad_token_id": -1})");
  folder.write("generation_config.json", R"({"eos_token_id": [9, 7, 3], "pad_token_id": 5, "do_sample": true,
      "temperature": 0.6, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.05, "max_new_tokens": 64,
      "min_p": 0.1})");
  const GenerationDefaults defaults = load_generation_defaults(folder.path());
  EXPECT_EQ(defaults.eos_ids, (std::vector<int>{3, 7, 9}));
  EXPECT_EQ(defaults.bos_id, 1);
  EXPECT_EQ(defaults.pad_id, 5);
  EXPECT_EQ(defaults.do_sample, true);
  EXPECT_EQ(defaults.temperature, 0.6);
  EXPECT_EQ(defaults.top_p, 0.9);
  EXPECT_EQ(defaults.top_k, 20);
  EXPECT_EQ(defaults.repetition_penalty, 1.05);
  EXPECT_EQ(defaults.max_new_tokens, 64);
  EXPECT_EQ(defaults.min_p, 0.1);
  EXPECT_TRUE(defaults.warnings.empty());
}

TEST(GenerationConfig, OnlyConfigJsonMustExist) {
  const ModelFolder folder;
  expect_error(ErrorKind::kNotFound, {"config.json: cannot open"},
               [&] { load_generation_defaults(folder.path()); });
  folder.write("config.json", R"({"pad_token_id": -1})");
  const GenerationDefaults defaults = load_generation_defaults(folder.path());
  EXPECT_TRUE(defaults.eos_ids.empty());
  EXPECT_EQ(defaults.pad_id, std::nullopt);
  EXPECT_EQ(defaults.temperature, std::nullopt);
  EXPECT_EQ(defaults.chat_template, "");
}

TEST(GenerationConfig, TemplatesAndTokens) {
  const ModelFolder folder;
  folder.write("config.json", "{}");
  folder.write("tokenizer_config.json",
               R"({"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>",
      "add_bos_token": false, "chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})");
  GenerationDefaults defaults = load_generation_defaults(folder.path());
  EXPECT_EQ(defaults.bos_token, "<s>");
  EXPECT_EQ(defaults.eos_token, "</s>");
  EXPECT_EQ(defaults.add_bos_token, false);
  EXPECT_EQ(defaults.chat_template, "D");
  folder.write("chat_template.json", R"({"chat_template": "J"})");
  EXPECT_EQ(load_generation_defaults(folder.path()).chat_template, "J");
  folder.write("chat_template.jinja", "{{ messages }}\n");
  EXPECT_EQ(load_generation_defaults(folder.path()).chat_template, "{{ messages }}\n");
}

TEST(GenerationConfig, TokensMayBeNamedInTheSpecialTokensMap) {
  const ModelFolder folder;
  folder.write("config.json", "{}");
  folder.write("special_tokens_map.json", R"({"bos_token": "<b>", "eos_token": {"content": "<e>"},
      "pad_token": "<p>", "additional_special_tokens": ["<x>"]})");
  GenerationDefaults defaults = load_generation_defaults(folder.path());
  EXPECT_EQ(defaults.bos_token, "<b>");
  EXPECT_EQ(defaults.eos_token, "<e>");
  using Named = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(defaults.other_tokens, (Named{{"pad_token", "<p>"}}));
  folder.write("tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": null, "unk_token": "<u>"})");
  defaults = load_generation_defaults(folder.path());
  EXPECT_EQ(defaults.bos_token, "<s>") << "the nearer file decides";
  EXPECT_EQ(defaults.eos_token, "<e>");
  EXPECT_EQ(defaults.other_tokens, (Named{{"unk_token", "<u>"}, {"pad_token", "<p>"}}));
}

TEST(GenerationConfig, BrokenFilesOfConversationsAreLeftOut) {
  const ModelFolder folder;
  folder.write("config.json", "{}");
  folder.write("tokenizer_config.json", R"({"eos_token": "<e>", "chat_template": "T"})");
  folder.write("special_tokens_map.json", "{broken");
  folder.write("chat_template.json", "[]");
  const GenerationDefaults defaults = load_generation_defaults(folder.path());
  EXPECT_EQ(defaults.eos_token, "<e>");
  EXPECT_EQ(defaults.chat_template, "T");
  ASSERT_EQ(defaults.warnings.size(), 2u);
  EXPECT_NE(defaults.warnings[0].find("special_tokens_map.json"), std::string::npos) << defaults.warnings[0];
  EXPECT_NE(defaults.warnings[1].find("chat_template.json"), std::string::npos) << defaults.warnings[1];
}

// What a request may not ask for would make every request fail.
TEST(GenerationConfig, ValuesBeyondARequestsRangesAreClampedWithWords) {
  const std::pair<const char*, double> cases[] = {{R"({"temperature": 2.5})", 2.0},
                                                  {R"({"temperature": 100})", 2.0},
                                                  {R"({"top_p": 0})", 1e-9},
                                                  {R"({"top_p": 0.0})", 1e-9},
                                                  {R"({"repetition_penalty": 0.005})", 0.01},
                                                  {R"({"repetition_penalty": 1e-6})", 0.01}};
  for (const auto& [text, bound] : cases) {
    GenerationDefaults defaults;
    merge_generation_config(text, "g.json", defaults);
    const auto& value = defaults.temperature ? defaults.temperature
                        : defaults.top_p     ? defaults.top_p
                                             : defaults.repetition_penalty;
    EXPECT_EQ(value, bound) << text;
    ASSERT_EQ(defaults.warnings.size(), 1u) << text;
    EXPECT_NE(defaults.warnings[0].find("g.json: \""), std::string::npos) << defaults.warnings[0];
    EXPECT_NE(defaults.warnings[0].find("is used"), std::string::npos) << defaults.warnings[0];
  }
}

TEST(GenerationConfig, WhatIsNotFollowedIsSaid) {
  for (const char* text :
       {R"({"typical_p": 0.5})", R"({"num_beams": 4})", R"({"no_repeat_ngram_size": 3})",
        R"({"suppress_tokens": [5]})", R"({"forced_eos_token_id": 2})", R"({"sequence_bias": [[[5], -1.0]]})",
        R"({"renormalize_logits": true})", R"({"min_new_tokens": "x"})", R"({"stop_strings": ["END"]})"}) {
    GenerationDefaults defaults;
    merge_generation_config(text, "g.json", defaults);
    ASSERT_EQ(defaults.warnings.size(), 1u) << text;
    EXPECT_TRUE(defaults.warnings[0].starts_with("g.json: \"")) << defaults.warnings[0];
    EXPECT_NE(defaults.warnings[0].find("answers are made without it"), std::string::npos) << text;
  }
  GenerationDefaults defaults;  // what files say without meaning anything
  merge_generation_config(
      R"({"typical_p": 1.0, "num_beams": 1, "no_repeat_ngram_size": 0, "suppress_tokens": [], "min_length": 0,
          "forced_eos_token_id": null, "sequence_bias": null, "renormalize_logits": false, "max_length": 4096,
          "use_cache": true, "transformers_version": "4.40.0", "length_penalty": 1.2})",
      "g.json", defaults);
  EXPECT_TRUE(defaults.warnings.empty()) << defaults.warnings[0];
}

// Completions need neither a template nor its tokens.
TEST(GenerationConfig, WhatOnlyChatNeedsStopsNothing) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"chat_template": 1})", R"("chat_template" is 1)"},
      {R"({"chat_template": []})", R"("chat_template" is an array)"},
      {R"({"chat_template": ["x"]})", "named \"default\""},
      {R"({"chat_template": [{"name": "x", "template": "T"}]})", "named \"default\""},
      {R"({"chat_template": [{"name": "default"}]})", "named \"default\""},
      {R"({"chat_template": [{"name": "default", "template": 3}]})", "named \"default\""},
      {R"({"chat_template": {}})", R"("chat_template" is an object)"},
      {R"({"chat_template": {"rag": "T"}})", "named \"default\""},
      {R"({"eos_token": false})", R"("eos_token" is false)"},
      {R"({"bos_token": 1})", R"("bos_token" is 1, expected a string)"},
      {R"({"bos_token": {"content": 1}})", R"("bos_token" is an object)"},
      {R"({"pad_token": []})", R"("pad_token" is an array)"},
      {R"({"add_bos_token": "yes"})", R"("add_bos_token" is "yes")"}};
  for (const auto& [text, words] : cases) {
    GenerationDefaults defaults;
    merge_tokenizer_config(text, "t.json", defaults);
    ASSERT_EQ(defaults.warnings.size(), 1u) << text;
    EXPECT_NE(defaults.warnings[0].find(words), std::string::npos) << defaults.warnings[0];
    EXPECT_EQ(defaults.chat_template + defaults.bos_token + defaults.eos_token, "") << text;
  }
  GenerationDefaults defaults;
  merge_tokenizer_config(R"({"chat_template": {"default": "D", "tool_use": "T"}})", "t.json", defaults);
  EXPECT_EQ(defaults.chat_template, "D");
}

struct GenerationCase {
  const char* name;
  std::string text;
  std::string fragment;
};

class GenerationRejects : public testing::TestWithParam<GenerationCase> {};
TEST_P(GenerationRejects, WithFileFieldAndValue) {
  expect_error(ErrorKind::kCorruptFile, {"g.json: ", GetParam().fragment}, [] {
    GenerationDefaults defaults;
    merge_generation_config(GetParam().text, "g.json", defaults);
    merge_tokenizer_config(GetParam().text, "g.json", defaults);
  });
}
INSTANTIATE_TEST_SUITE_P(
    Fields, GenerationRejects,
    testing::Values(
        GenerationCase{"NoObject", "[]", "expected an object"},
        GenerationCase{"EosText", R"({"eos_token_id": "2"})", R"("eos_token_id" is "2")"},
        GenerationCase{"EosNegative", R"({"eos_token_id": [-5]})", R"("eos_token_id" is -5)"},
        GenerationCase{"EosHuge", R"({"eos_token_id": 2147483648})", R"("eos_token_id" is 2147483648)"},
        GenerationCase{"EosNested", R"({"eos_token_id": [[1]]})", R"("eos_token_id" is an array)"},
        GenerationCase{"Temperature", R"({"temperature": -1})",
                       R"("temperature" is -1, expected a number from 0 to 100)"},
        GenerationCase{"TopP", R"({"top_p": 1.5})", R"("top_p" is 1.5)"},
        GenerationCase{"TopK", R"({"top_k": 0.5})", R"("top_k" is 0.5)"},
        GenerationCase{"Penalty", R"({"repetition_penalty": 0})", R"("repetition_penalty" is 0)"},
        GenerationCase{"MinP", R"({"min_p": 1.5})", R"("min_p" is 1.5)"},
        GenerationCase{"MaxNew", R"({"max_new_tokens": 0})", R"("max_new_tokens" is 0)"}),
    kCaseName);

}  // namespace
}  // namespace quire
