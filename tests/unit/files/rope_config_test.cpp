#include "files/rope_config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "files/mapped_file.h"
#include "files/model_config.h"
#include "model_folder.h"

namespace quire {
namespace {

const std::filesystem::path kGoldens = std::filesystem::path(QUIRE_SOURCE_DIR) / "tests/golden/models";

Json load_json(const std::filesystem::path& path) {
  return parse_json(MappedFile::open(path).text(), path.string());
}

RopeConfig parse(const std::string& text, int max_position = 4096) {
  const Json json = parse_json(text, "config.json");
  return parse_rope_config(Fields(json, "config.json"), max_position);
}

// Hugging Face computes in float32; its powers are good to a few units in the last place.
void expect_matches(const RopeConfig& rope, int head_dim, const Json& golden) {
  const auto inv_freq = rope_inv_freq(rope, head_dim);
  const auto expected = golden.at("inv_freq").get<std::vector<double>>();
  ASSERT_EQ(inv_freq.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(inv_freq[i] / expected[i], 1.0, 2e-6) << "pair " << i;
  EXPECT_NEAR(rope_attention_factor(rope), golden.at("attention_factor").get<double>(), 1e-6);
}

TEST(RopeConfig, SettingsOfPublishedModelsMatchHuggingFace) {
  const Json cases = load_json(kGoldens / "rope.json");
  EXPECT_GE(cases.size(), 12u);
  for (const Json& golden : cases) {
    SCOPED_TRACE(golden.at("config").dump());
    const Json& config = golden.at("config");
    const RopeConfig rope =
        parse_rope_config(Fields(config, "rope.json"), config.value("max_position_embeddings", 2048));
    expect_matches(rope, golden.at("head_dim").get<int>(), golden);
  }
}

TEST(RopeConfig, GoldenModelsMatchHuggingFace) {
  int num_models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kGoldens)) {
    if (!entry.is_directory() || !std::filesystem::exists(entry.path() / "golden.json")) continue;
    SCOPED_TRACE(entry.path().filename().string());
    const ModelConfig model = load_model_config(entry.path());
    expect_matches(model.rope, model.head_dim, load_json(entry.path() / "golden.json"));
    ++num_models;
  }
  EXPECT_EQ(num_models, 10);
}

TEST(RopeConfig, PlainFrequenciesFollowTheFormula) {
  const RopeConfig rope = parse(R"({"rope_theta": 10000})");
  EXPECT_EQ(rope_inv_freq(rope, 4), (std::vector<float>{1.0f, 0.01f}));
  EXPECT_EQ(rope_attention_factor(rope), 1.0f);
}

// Waves above orig / low_freq_factor tokens are divided by the factor, those below orig / high_freq_factor
// kept.
TEST(RopeConfig, Llama3KeepsShortAndStretchesLongWaves) {
  const std::string text = R"({"rope_theta": 500000, "rope_scaling": {"rope_type": "llama3", "factor": 8,
      "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}})";
  const auto plain = rope_inv_freq(parse(R"({"rope_theta": 500000})"), 128),
             scaled = rope_inv_freq(parse(text), 128);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const double wavelength = 2 * std::numbers::pi / plain[i];
    const double ratio = scaled[i] / plain[i];
    if (wavelength < 8192.0 / 4) {
      EXPECT_FLOAT_EQ(ratio, 1.0f);
    } else if (wavelength > 8192.0) {
      EXPECT_FLOAT_EQ(ratio, 0.125f);
    } else {
      EXPECT_TRUE(ratio > 0.125 && ratio < 1.0);
    }
  }
}

TEST(RopeConfig, SpellingsOfOldAndNewFilesAgree) {
  const RopeConfig old_file =
      parse(R"({"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 3}})");
  const RopeConfig new_file =
      parse(R"({"rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 3}})");
  for (const RopeConfig& rope : {old_file, new_file}) {
    EXPECT_EQ(rope.type, RopeType::kLinear);
    EXPECT_EQ(rope.theta, 500.0);
    EXPECT_EQ(rope.factor, 3.0);
  }
  EXPECT_EQ(parse(R"({"rope_scaling": null, "rope_theta": 7})").theta, 7.0);
  EXPECT_EQ(parse("{}").theta, 10000.0);
}

struct RopeCase {
  const char* name;
  std::string rope;  // fields of rope_parameters
  std::string fragment;
  ErrorKind kind = ErrorKind::kCorruptFile;
};

class RopeRejects : public testing::TestWithParam<RopeCase> {};
TEST_P(RopeRejects, WithFieldAndValue) {
  expect_error(GetParam().kind, {"config.json: ", GetParam().fragment},
               [] { parse("{\"rope_parameters\": {" + GetParam().rope + "}}"); });
}
const ErrorKind kUnsupported = ErrorKind::kUnsupported;
const std::string kLlama3 = R"("rope_type":"llama3","factor":8,"original_max_position_embeddings":8192)";
INSTANTIATE_TEST_SUITE_P(
    Rope, RopeRejects,
    testing::Values(
        RopeCase{"Dynamic", R"("rope_type":"dynamic","factor":2)",
                 R"("rope_parameters.rope_type" is "dynamic", supported: default, linear, llama3, yarn)",
                 kUnsupported},
        RopeCase{"Longrope", R"("type":"longrope")", R"("rope_parameters.type" is "longrope")", kUnsupported},
        RopeCase{"Partial", R"("partial_rotary_factor":0.5)",
                 R"("rope_parameters.partial_rotary_factor" is "0.5")", kUnsupported},
        RopeCase{"PerLayerType", R"("full_attention":{"rope_theta":1e4})", "one RoPE for all layers",
                 kUnsupported},
        RopeCase{"TypeNumber", R"("rope_type":3)", R"("rope_parameters.rope_type" is 3, expected a string)"},
        RopeCase{"ThetaZero", R"("rope_theta":0)", R"("rope_parameters.rope_theta" is 0)"},
        RopeCase{"ThetaOne", R"("rope_theta":1.0)", R"("rope_parameters.rope_theta" is 1.0)"},
        RopeCase{"ThetaText", R"("rope_theta":"1e4")", R"("rope_parameters.rope_theta" is "1e4")"},
        RopeCase{"ThetaHuge", R"("rope_theta":1e300)", "rope_theta"},
        RopeCase{"NoFactor", R"("rope_type":"linear")", R"("rope_parameters.factor" is missing)"},
        RopeCase{"FactorSmall", R"("rope_type":"linear","factor":0.5)", R"("rope_parameters.factor" is 0.5)"},
        RopeCase{"FactorNegative", R"("rope_type":"yarn","factor":-4)", R"("rope_parameters.factor" is -4)"},
        RopeCase{"Llama3NoLow", kLlama3 + R"(,"high_freq_factor":4)",
                 R"("rope_parameters.low_freq_factor" is missing)"},
        RopeCase{"Llama3Equal", kLlama3 + R"(,"low_freq_factor":4,"high_freq_factor":4)",
                 "above low_freq_factor"},
        RopeCase{"OriginalZero", R"("rope_type":"yarn","factor":4,"original_max_position_embeddings":0)",
                 R"("rope_parameters.original_max_position_embeddings" is 0)"},
        RopeCase{"BetaNegative", R"("rope_type":"yarn","factor":4,"beta_fast":-1)",
                 R"("rope_parameters.beta_fast" is -1)"},
        RopeCase{"TruncateText", R"("rope_type":"yarn","factor":4,"truncate":"no")",
                 R"("rope_parameters.truncate" is "no")"}),
    kCaseName);

TEST(RopeConfig, OuterPartialRotationIsRefused) {
  expect_error(kUnsupported, {R"("partial_rotary_factor" is "0.4", supported: 1)"},
               [] { parse(R"({"partial_rotary_factor": 0.4})"); });
  expect_error(ErrorKind::kCorruptFile, {R"("rope_scaling" is "yarn", expected an object)"},
               [] { parse(R"({"rope_scaling": "yarn"})"); });
}

// `attn_factor` is a slip that published files have; the name is `attention_factor`.
TEST(RopeConfig, UnknownKeysAreTold) {
  const auto unknown = [](const char* text) {
    const Json json = Json::parse(text);
    return parse_rope_config(Fields(json, "c.json"), 4096).unknown_keys;
  };
  using Keys = std::vector<std::string>;
  EXPECT_EQ(
      unknown(R"({"rope_scaling": {"type": "yarn", "factor": 2, "attn_factor": 1, "finetuned": true}})"),
      (Keys{"attn_factor", "finetuned"}));
  EXPECT_EQ(unknown(R"({"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "speed": 2}})"),
            (Keys{"speed"}));
  EXPECT_TRUE(unknown(R"({"rope_scaling": {"type": "yarn", "factor": 2, "attention_factor": 1}})").empty());
  EXPECT_TRUE(unknown("{}").empty());
}

}  // namespace
}  // namespace quire
