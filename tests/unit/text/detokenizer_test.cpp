#include "text/detokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "base/check.h"
#include "text/utf8.h"

namespace quire {
namespace {

Tokenizer load(const std::string& name) {
  return Tokenizer::from_file(std::string(QUIRE_SOURCE_DIR) + "/tests/golden/tokenizer/" + name +
                              ".tokenizer.json");
}

std::vector<std::string> push_all(const Tokenizer& tokenizer, std::string_view text) {
  Detokenizer detokenizer(tokenizer, true);
  std::vector<std::string> parts;
  for (const auto id : tokenizer.encode(text, {.add_special_tokens = false, .parse_special = false})) {
    parts.push_back(detokenizer.push(id));
  }
  parts.push_back(detokenizer.finish());
  return parts;
}

TEST(Detokenizer, ByteLevelWaitsForTheLastByteOfACharacter) {
  EXPECT_EQ(push_all(load("gpt2"), "a\xF0\x90\x8D\x88z"),
            (std::vector<std::string>{"a", "", "", "", "\xF0\x90\x8D\x88", "z", ""}));
}

TEST(Detokenizer, ByteLevelEndsWithAReplacementForHalfACharacter) {
  const Tokenizer tokenizer = load("gpt2");
  Detokenizer detokenizer(tokenizer, true);
  EXPECT_EQ(detokenizer.push(*tokenizer.token_to_id("ð")), "");
  EXPECT_EQ(detokenizer.finish(), "\uFFFD");
  EXPECT_THROW(detokenizer.push(0), Error);
  EXPECT_THROW(detokenizer.finish(), Error);
}

TEST(Detokenizer, ByteFallbackWaitsForTheEndOfItsRun) {
  const Tokenizer tokenizer = load("llama2");
  Detokenizer detokenizer(tokenizer, true);
  const auto push = [&](const char* token) { return detokenizer.push(*tokenizer.token_to_id(token)); };
  EXPECT_EQ(push("▁the"), "the");  // the space that encoding added goes
  EXPECT_EQ(push("▁the"), " the");
  EXPECT_EQ(push("<0xE4>"), "");
  EXPECT_EQ(push("<0xBD>"), "");
  EXPECT_EQ(push("<0xA0>"), "");
  EXPECT_EQ(push("▁the"), "\u4F60 the");
  EXPECT_EQ(push("<0xE4>"), "");
  EXPECT_EQ(push("<0x41>"), "");
  EXPECT_EQ(detokenizer.finish(), "\uFFFD\uFFFD");
}

TEST(Detokenizer, SkipsSpecialTokensOnRequest) {
  const Tokenizer tokenizer = load("qwen");
  const auto id = *tokenizer.token_to_id("<|im_end|>");
  EXPECT_EQ(Detokenizer(tokenizer, true).push(id), "");
  EXPECT_EQ(Detokenizer(tokenizer, false).push(id), "<|im_end|>");
}

// The text of an answer is what it adds to the text of its prompt.
TEST(Detokenizer, ATextThatFollowsAPromptKeepsItsFirstSpace) {
  for (const char* name : {"llama2", "mistral", "metaspace"}) {
    const Tokenizer tokenizer = load(name);
    const auto prompt = tokenizer.encode("the", {.add_special_tokens = true, .parse_special = false});
    const auto answer = tokenizer.encode("the the", {.add_special_tokens = false, .parse_special = false});
    Detokenizer detokenizer(tokenizer, true);
    detokenizer.follow(prompt);
    std::string text;
    for (const auto id : answer) text += detokenizer.push(id);
    text += detokenizer.finish();
    auto all = prompt;
    all.insert(all.end(), answer.begin(), answer.end());
    EXPECT_EQ(tokenizer.decode(prompt, true) + text, tokenizer.decode(all, true)) << name;
    EXPECT_EQ(text, " the the") << name;
  }
}

TEST(Detokenizer, ACharacterMayBeginInThePrompt) {
  const Tokenizer tokenizer = load("gpt2");
  const auto ids =
      tokenizer.encode("a\xF0\x90\x8D\x88z", {.add_special_tokens = false, .parse_special = false});
  ASSERT_EQ(ids.size(), 6u);
  Detokenizer detokenizer(tokenizer, true);
  detokenizer.follow(std::span(ids).first(3));
  EXPECT_EQ(detokenizer.push(ids[3]), "");
  EXPECT_EQ(detokenizer.push(ids[4]), "\xF0\x90\x8D\x88");
  EXPECT_EQ(detokenizer.push(ids[5]), "z");
}

TEST(Detokenizer, LongPromptsAreReadFromWhereItMatters) {
  const Tokenizer tokenizer = load("llama2");
  const std::int32_t byte = *tokenizer.token_to_id("<0xE4>"), word = *tokenizer.token_to_id("▁the");
  std::vector<std::int32_t> prompt(5000, word);
  prompt.insert(prompt.end(), 1000, byte);  // a run that an answer may still spoil or complete
  std::vector<std::int32_t> all = prompt;
  all.push_back(word);
  Detokenizer detokenizer(tokenizer, true), whole(tokenizer, true);
  detokenizer.follow(prompt);
  for (const auto id : prompt) whole.push(id);
  EXPECT_EQ(detokenizer.push(word), whole.push(word));
  Detokenizer fresh(tokenizer, true);
  fresh.follow({});
  EXPECT_EQ(fresh.push(word), "the");
}

TEST(Detokenizer, PartsAreWholeCharactersAndMakeUpTheDecodedText) {
  std::mt19937 random(5);
  for (const char* name : {"gpt2", "llama3", "qwen", "llama2", "mistral", "metaspace", "flags"}) {
    const Tokenizer tokenizer = load(name);
    for (int round = 0; round < 300; ++round) {
      std::vector<std::int32_t> ids(random() % 40);
      for (auto& id : ids) id = static_cast<std::int32_t>(random() % (tokenizer.vocab_size() + 3));
      const bool skip = round % 2 == 0;
      Detokenizer detokenizer(tokenizer, skip);
      std::string all;
      for (const auto id : ids) {
        const std::string part = detokenizer.push(id);
        EXPECT_TRUE(is_valid_utf8(part));
        all += part;
      }
      all += detokenizer.finish();
      EXPECT_EQ(all, tokenizer.decode(ids, skip)) << name;
    }
  }
}

// A model of the tokens "e" and "a", whose decoders are given as JSON.
Tokenizer tokenizer_with(const std::string& decoders) {
  return Tokenizer::from_json(
      R"({"version":"1.0","model":{"type":"BPE","vocab":{"e":0,"a":1},"merges":[]},"decoder":)" + decoders +
          "}",
      "hostile.json");
}

std::string sequence_of(int num, const std::string& decoder) {
  std::string all;
  for (int i = 0; i < num; ++i) all += (i > 0 ? "," : "") + decoder;
  return R"({"type":"Sequence","decoders":[)" + all + "]}";
}

TEST(Detokenizer, RefusesDecodersThatMakeATextExplode) {
  const std::string grows =
      R"({"type":"Replace","pattern":{"String":"e"},"content":")" + std::string(100, 'e') + "\"}";
  try {
    tokenizer_with(sequence_of(6, grows));
    FAIL() << "a token of one byte may become 1,000,000,000,000";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUnsupported);
    EXPECT_NE(std::string(e.what()).find("hostile.json: decoder"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("1e+12 times longer, at most 1000"), std::string::npos) << e.what();
  }
  // An empty match is possible between any two bytes.
  const std::string between = R"({"type":"Replace","pattern":{"Regex":"x*"},"content":"eeeeeeeeeee"})";
  EXPECT_THROW(tokenizer_with(sequence_of(3, between)), Error);
}

TEST(Detokenizer, TakesDecodersThatGrowALittle) {
  const std::string grows = R"({"type":"Replace","pattern":{"String":"e"},"content":"eeee"})";
  const std::string cuts = R"({"type":"Replace","pattern":{"String":"\u2581"},"content":" "})";
  const Tokenizer tokenizer = tokenizer_with(sequence_of(2, grows + "," + cuts));
  EXPECT_EQ(tokenizer.decode(std::vector<std::int32_t>{0, 1, 0}, true),
            std::string(16, 'e') + "a" + std::string(16, 'e'));
}

TEST(Detokenizer, OneBudgetForAllStages) {
  // Each pattern alone stays within a token's budget; sixty-four of them do not.
  const std::string slow = R"({"type":"Replace","pattern":{"Regex":"(?:a?){12}(?:a?){12}b"},"content":"b"})";
  const std::string text(14, 'a');
  const auto make = [&](int num) {
    return Tokenizer::from_json(R"({"version":"1.0","model":{"type":"BPE","vocab":{")" + text +
                                    R"(":0},"merges":[]},"decoder":)" + sequence_of(num, slow) + "}",
                                "slow.json");
  };
  EXPECT_THROW(make(64).decode(std::vector<std::int32_t>{0}, true), Error);
}

}  // namespace
}  // namespace quire
