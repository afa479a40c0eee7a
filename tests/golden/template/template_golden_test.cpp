// What Hugging Face's chat templates give (make_goldens.py), refusals included.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/error.h"
#include "template/chat_template.h"

namespace quire {
namespace {

using nlohmann::ordered_json;

std::string read(const std::string& name) {
  std::ifstream file(std::string(QUIRE_SOURCE_DIR) + "/" + name, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << name;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

ordered_json read_json(const std::string& name) { return ordered_json::parse(read(name)); }

// The text, or null where the template refuses; `why` says why.
ordered_json outcome(const std::string& source, const ordered_json& tokens, const ordered_json& input,
                     std::int64_t now_s, std::string& why) {
  try {
    const auto chat =
        ChatTemplate::parse(source, tokens.value("bos_token", ""), tokens.value("eos_token", ""));
    const ordered_json messages = input.contains("messages") ? input["messages"] : ordered_json::array();
    const bool is_open = input.value("add_generation_prompt", false);
    const TemplateRun run{.now_s = now_s, .limits = {}};
    std::string text = chat.render(messages, is_open, input["extra"], run);
    std::string joined;
    for (const TemplatePiece& piece : chat.render_pieces(messages, is_open, input["extra"], run))
      joined += piece.text;
    EXPECT_EQ(joined, text);
    return text;
  } catch (const Error& error) {
    why = error.what();
    EXPECT_TRUE(error.kind() == ErrorKind::kInvalidArgument || error.kind() == ErrorKind::kCorruptFile ||
                error.kind() == ErrorKind::kUnsupported)
        << why;
    return nullptr;
  }
}

class FamilyTest : public testing::TestWithParam<const char*> {};

TEST_P(FamilyTest, RendersLikeHuggingFace) {
  const std::string name = GetParam();
  const ordered_json goldens = read_json("tests/golden/template/families.json");
  const std::string source =
      name == "demo" ? read_json("models/demo/tokenizer_config.json")["chat_template"].get<std::string>()
                     : read("tests/golden/template/" + name + ".jinja");
  const ordered_json& family = goldens["families"][name];
  ASSERT_GE(family["cases"].size(), 14u);
  for (const ordered_json& golden : family["cases"]) {
    std::string why;
    EXPECT_EQ(outcome(source, family, golden, goldens["now"], why), golden["expected"])
        << golden["name"] << " with " << golden["extra"] << " " << why;
  }
}

INSTANTIATE_TEST_SUITE_P(All, FamilyTest,
                         testing::Values("chatml", "llama2", "llama3", "llama31", "mistral", "qwen2", "qwen3",
                                         "gemma2", "gemma3", "phi3", "phi4", "deepseek", "demo"),
                         [](const auto& test) { return std::string(test.param); });

TEST(ConstructTest, MeansWhatItMeansInJinja) {
  const ordered_json goldens = read_json("tests/golden/template/constructs.json");
  ASSERT_GE(goldens["cases"].size(), 280u);
  for (const ordered_json& golden : goldens["cases"]) {
    std::string why;
    EXPECT_EQ(outcome(golden["template"], ordered_json::object(), golden, goldens["now"], why),
              golden["expected"])
        << golden["group"] << ": " << golden["template"] << " " << why;
  }
}

}  // namespace
}  // namespace quire
