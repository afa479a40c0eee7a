// What Hugging Face's library does, made by tests/golden/tokenizer/make_goldens.py.
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/check.h"
#include "base/json.h"
#include "text/decoder_chain.h"
#include "text/detokenizer.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace quire {
namespace {

constexpr std::size_t kBigTextBytes = 1'000'000;
const std::string kFolder = std::string(QUIRE_SOURCE_DIR) + "/tests/golden/tokenizer/";

Json read_golden(const std::string& name) {
  std::ifstream file(kFolder + name, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << name;
  return parse_json(std::string{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()},
                    name);
}

std::string hex_fnv1a(std::string_view bytes, int num_bits = 32) {
  std::uint64_t value = num_bits == 32 ? 0x811C9DC5u : 0xCBF29CE484222325u;
  const std::uint64_t prime = num_bits == 32 ? 0x01000193u : 0x100000001B3u;
  for (const char byte : bytes) {
    value = (value ^ static_cast<unsigned char>(byte)) * prime;
    if (num_bits == 32) value &= 0xFFFFFFFFu;
  }
  return fmt::format("{:0{}x}", value, num_bits / 4);
}

std::string hash_ids(const std::vector<std::int32_t>& ids, int num_bits = 32) {
  std::string bytes;
  for (const std::int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(id >> shift & 0xFF);
  }
  return hex_fnv1a(bytes, num_bits);
}

std::vector<std::string> split_words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

struct Texts {
  std::vector<std::string> all;  // raw bytes, some not valid UTF-8
  std::size_t num_hard;
  std::string sweep;  // every code point that all Unicode versions since 3.2 have, each followed by an x

  std::string mixed() const {
    std::string unit;
    for (std::size_t i = 0; i < all.size(); ++i) unit += (i > 0 ? " " : "") + all[i];
    unit += "\n";
    std::string text;
    while (text.size() < kBigTextBytes) text += unit;
    text.resize(kBigTextBytes);
    return text;
  }
};

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

const Texts& texts() {
  static const Texts kTexts = [] {
    const Json golden = read_golden("texts.json");
    Texts out;
    out.num_hard = golden["num_hard"];
    for (const std::string hex : golden["texts"]) out.all.push_back(from_hex(hex));
    for (const auto& range : golden["settled_ranges"]) {
      for (char32_t c = range[0]; c < range[1].get<char32_t>(); ++c) {
        append_utf8(out.sweep, c);
        out.sweep += 'x';
      }
    }
    return out;
  }();
  return kTexts;
}

std::string repaired(std::string_view text) {
  std::string out;
  append_lossy_utf8(out, text, true);
  return out;
}

class TokenizerGolden : public testing::TestWithParam<const char*> {
 protected:
  TokenizerGolden()
      : tokenizer_(Tokenizer::from_file(kFolder + GetParam() + ".tokenizer.json")),
        expected_(read_golden(GetParam() + std::string(".expected.json"))) {}

  Tokenizer tokenizer_;
  Json expected_;
};

TEST_P(TokenizerGolden, HardTextsGiveTheSameIdsAndComeBackTheSame) {
  ASSERT_GT(texts().num_hard, 150u);
  for (std::size_t i = 0; i < texts().num_hard; ++i) {
    SCOPED_TRACE(fmt::format("text {}: \"{}\"", i, repaired(texts().all[i])));
    const auto ids = tokenizer_.encode(texts().all[i], {.add_special_tokens = false, .parse_special = true});
    EXPECT_EQ(ids, expected_["hard_ids"][i].get<std::vector<std::int32_t>>());
    EXPECT_EQ(tokenizer_.decode(ids, false), expected_["hard_decoded"][i].get<std::string>());
  }
}

TEST_P(TokenizerGolden, EveryOptionGivesTheSameHashes) {
  ASSERT_EQ(expected_["hashes"].size(), texts().all.size());
  for (std::size_t i = 0; i < texts().all.size(); ++i) {
    SCOPED_TRACE(fmt::format("text {}: \"{}\"", i, repaired(texts().all[i])));
    const std::vector<std::string> hashes = split_words(expected_["hashes"][i]);
    ASSERT_EQ(hashes.size(), 6u);
    const auto encode = [&](bool parse_special, bool add_special_tokens) {
      return tokenizer_.encode(texts().all[i], {add_special_tokens, parse_special});
    };
    EXPECT_EQ(hash_ids(encode(true, false)), hashes[0]);
    EXPECT_EQ(hash_ids(encode(true, true)), hashes[1]);
    EXPECT_EQ(hash_ids(encode(false, false)), hashes[2]);
    EXPECT_EQ(hash_ids(encode(false, true)), hashes[3]);
    EXPECT_EQ(hex_fnv1a(tokenizer_.decode(encode(true, true), false)), hashes[4]);
    EXPECT_EQ(hex_fnv1a(tokenizer_.decode(encode(true, true), true)), hashes[5]);
  }
}

TEST_P(TokenizerGolden, AMegabyteGivesTheSameHashes) {
  const std::vector<std::string> bigs = {texts().mixed(), std::string(kBigTextBytes, 'a'),
                                         std::string(kBigTextBytes, ' ')};
  for (std::size_t i = 0; i < bigs.size(); ++i) {
    const auto ids = tokenizer_.encode(bigs[i], {.add_special_tokens = false, .parse_special = true});
    const Json& expected = expected_["big"][i];
    EXPECT_EQ(ids.size(), expected[0].get<std::size_t>()) << i;
    EXPECT_EQ(hash_ids(ids, 64), expected[1].get<std::string>()) << i;
    EXPECT_EQ(hex_fnv1a(tokenizer_.decode(ids, true), 64), expected[2].get<std::string>()) << i;
  }
}

TEST_P(TokenizerGolden, RandomIdsDecodeTheSame) {
  for (const Json& entry : expected_["random_ids"]) {
    const auto ids = entry[0].get<std::vector<std::int32_t>>();
    SCOPED_TRACE(entry[0].dump());
    EXPECT_EQ(hex_fnv1a(tokenizer_.decode(ids, false)), entry[1].get<std::string>());
    EXPECT_EQ(hex_fnv1a(tokenizer_.decode(ids, true)), entry[2].get<std::string>());
  }
}

TEST_P(TokenizerGolden, TextThatSpellsSpecialTokensGivesNone) {
  std::string all_tokens;
  for (int id = 0; id < tokenizer_.vocab_size(); ++id) {
    all_tokens += std::string(tokenizer_.token_text(id).value_or("")) + " x";
  }
  const auto unk = tokenizer_.token_to_id("<unk>");
  for (const std::int32_t id :
       tokenizer_.encode(all_tokens, {.add_special_tokens = false, .parse_special = false})) {
    EXPECT_TRUE(!tokenizer_.is_special(id) || id == unk) << id;
  }
}

INSTANTIATE_TEST_SUITE_P(Styles, TokenizerGolden,
                         testing::Values("gpt2", "gpt2_prefix", "llama3", "qwen", "llama2", "mistral",
                                         "metaspace", "flags"),
                         [](const auto& entry) { return std::string(entry.param); });

// The parts of `spec` over every third text, each made into bytes by `run(text)`.
template <class Run>
void expect_hashes(const Json& golden, Run run) {
  const std::vector<std::string> hashes = split_words(golden["hashes"]);
  std::size_t num_wrong = 0;
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    const std::string text = repaired(texts().all.at(i * 3));
    const std::string out = run(text);
    if (hex_fnv1a(out) == hashes[i] || ++num_wrong > 3) continue;
    ADD_FAILURE() << golden["spec"].dump() << "\n  on \"" << text << "\" gives \"" << out << '"';
  }
  EXPECT_EQ(hex_fnv1a(run(texts().sweep)), golden["sweep"].get<std::string>()) << golden["spec"].dump();
}

TEST(ComponentGolden, PreTokenizers) {
  const Json goldens = read_golden("components.json");
  ASSERT_GT(goldens["pre_tokenizers"].size(), 100u);
  for (const Json& golden : goldens["pre_tokenizers"]) {
    const std::string origin = "golden";
    const PreTokenizers parts = make_pre_tokenizers(JsonField(golden["spec"], origin, "pre_tokenizer"));
    expect_hashes(golden, [&](const std::string& text) {
      RegexScratch scratch(text.size());
      SplitText split(NormalizedText{text});
      for (const auto& part : parts) part->apply(split, scratch);
      std::string out;
      for (const Span& piece : split.pieces)
        out += split.text.substr(piece.begin, piece.end - piece.begin) + "\xFF";
      return out;
    });
  }
}

TEST(ComponentGolden, Normalizers) {
  const Json goldens = read_golden("components.json");
  ASSERT_GT(goldens["normalizers"].size(), 10u);
  for (const Json& golden : goldens["normalizers"]) {
    const std::string origin = "golden";
    const Normalizers parts = make_normalizers(JsonField(golden["spec"], origin, "normalizer"));
    expect_hashes(golden, [&](const std::string& text) {
      RegexScratch scratch(text.size());
      NormalizedText out{text};
      for (const auto& part : parts) part->apply(out, scratch);
      return out.text;
    });
  }
}

TEST(ComponentGolden, NormalizersBeforeAMetaspaceThatIsAddedOnce) {
  const Json goldens = read_golden("components.json");
  ASSERT_GT(goldens["combined"].size(), 10u);
  Json file = read_golden("mistral.tokenizer.json");
  for (const Json& golden : goldens["combined"]) {
    file["normalizer"] = golden["spec"];
    const Tokenizer tokenizer = Tokenizer::from_json(file.dump(), "golden");
    const std::vector<std::string> hashes = split_words(golden["hashes"]);
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      const std::string& text = texts().all.at(i * 3);
      const auto ids = tokenizer.encode(text, {.add_special_tokens = false, .parse_special = true});
      EXPECT_EQ(hash_ids(ids), hashes[i]) << golden["spec"].dump() << " on \"" << repaired(text) << '"';
    }
  }
}

class StringStage : public DecodeStage {
 public:
  void text(std::string_view part) override { out += part; }
  void end_token() override {}
  void finish() override {}
  std::string out;
};

TEST(ComponentGolden, Decoders) {
  const Json goldens = read_golden("components.json");
  ASSERT_GT(goldens["decoders"].size(), 10u);
  for (const Json& golden : goldens["decoders"]) {
    const std::string origin = "golden";
    const DecoderChain parts = make_decoders(JsonField(golden["spec"], origin, "decoder"));
    const std::vector<std::string> hashes = split_words(golden["hashes"]);
    for (std::size_t i = 0; i < hashes.size(); ++i) {
      StringStage sink;
      RegexScratch budget(1 << 16);
      std::vector<std::unique_ptr<DecodeStage>> stages;
      for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
        stages.push_back((*part)->make_stage(stages.empty() ? sink : *stages.back(), budget));
      }
      const Json& tokens = goldens["decoder_inputs"][i];
      for (const Json& token : tokens) {
        stages.back()->text(token.get<std::string>());
        stages.back()->end_token();
      }
      stages.back()->finish();
      EXPECT_EQ(hex_fnv1a(sink.out), hashes[i])
          << golden["spec"].dump() << " on " << tokens.dump() << " gives " << sink.out;
    }
  }
}

}  // namespace
}  // namespace quire
