// A model opened as an embedder does it: the demo model's answers, facts, tokens, and what it refuses.
#include "quire/quire.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "facade/model_impl.h"
#include "unit/error_message.h"

namespace quire {
namespace {

const std::string kDemo = std::string(QUIRE_SOURCE_DIR) + "/models/demo";

std::string read(const std::string& name) {
  std::ifstream file(kDemo + "/" + name);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::string text_of(RequestStream stream) {
  std::string text;
  while (auto output = stream.next()) text += output->text;
  return text;
}

ModelOptions small() {
  ModelOptions options;
  options.engine.kv_cache_pages = 200;
  options.engine.num_threads = 2;
  return options;
}

class ModelTest : public testing::Test {
 protected:
  static ModelConfig model_config() { return load_model_config(kDemo); }

  Model model_ = Model::open(kDemo, small());
};

TEST_F(ModelTest, AnswersAConversation) {
  EXPECT_EQ(text_of(model_.chat({{"user", read("example_question.txt")}})), read("example_answer.txt"));
}

TEST_F(ModelTest, GoesOnWithAText) {
  SamplingParams params = model_.info().defaults;
  params.max_tokens = 3;
  const std::string text = text_of(model_.complete("Once upon", params));
  EXPECT_FALSE(text.empty());
  EXPECT_EQ(text, text_of(model_.engine().submit_text("Once upon", params)));
  EXPECT_EQ(text, text_of(Engine::open(kDemo, small().engine).submit_text("Once upon", params)));
}

TEST_F(ModelTest, SaysWhatItIs) {
  const ModelInfo& info = model_.info();
  EXPECT_EQ(info.folder, kDemo);
  EXPECT_EQ(info.architecture, model_config().architecture);
  EXPECT_EQ(info.num_layers, model_config().num_layers);
  EXPECT_EQ(info.hidden_dim, model_config().hidden_dim);
  EXPECT_EQ(info.vocab_size, model_config().vocab_size);
  EXPECT_EQ(info.context_len, std::min(model_config().max_position, 200 * 16));
  EXPECT_EQ(info.num_pages, 200);
  EXPECT_EQ(info.page_size, 16);
  EXPECT_GT(info.cache_bytes, 0);
  EXPECT_EQ(info.attention_backend, "unified");
  EXPECT_TRUE(info.device.starts_with("cpu (")) << info.device;
  EXPECT_FALSE(info.eos_tokens.empty());
  EXPECT_EQ(info.why_no_chat, "");
  EXPECT_GT(info.load_s, 0);
}

TEST_F(ModelTest, EncodesAndDecodes) {
  const auto tokens = model_.encode("Bob has the lamp.", {.add_special_tokens = false});
  EXPECT_EQ(model_.decode(tokens), "Bob has the lamp.");
  const auto chat = model_.encode_chat({{"user", "Bob has the lamp."}});
  EXPECT_GT(chat.size(), tokens.size());
  EXPECT_GT(chat.size(), model_.encode_chat({{"user", "Bob has the lamp."}}, false).size());
  EXPECT_NE(model_.decode(chat).find("Bob has the lamp."), std::string::npos);
}

TEST(ModelOptionsTest, WithoutItsChatFormat) {
  ModelOptions options = small();
  options.uses_chat_format = false;
  Model model = Model::open(kDemo, options);
  EXPECT_FALSE(model.has_chat_format());
  EXPECT_EQ(message_of(
                [&] {
                  model.chat({{"user", "Hi"}});
                },
                ErrorKind::kUnsupported),
            "no chat format: the model was opened without its chat format");
}

TEST(ModelOptionsTest, ProgressIsToldAndMayGiveUp) {
  ModelOptions options = small();
  double last = -1;
  options.progress = [&](double fraction, const char*) {
    EXPECT_GE(fraction, last);
    last = fraction;
  };
  Model::open(kDemo, options);
  EXPECT_EQ(last, 1);
  options.progress = [](double, const char*) { throw Error(ErrorKind::kExhausted, "enough"); };
  EXPECT_EQ(message_of([&] { Model::open(kDemo, options); }, ErrorKind::kExhausted), "enough");
}

TEST(ModelOptionsTest, Refusals) {
  ModelOptions options = small();
  options.engine.kv_cache_bytes = 1 << 20;
  EXPECT_NE(message_of([&] { Model::open(kDemo, options); }, ErrorKind::kInvalidArgument)
                .find("1048576 bytes and 200 pages"),
            std::string::npos);
  options = small();
  options.engine.kv_cache_pages = -1;
  EXPECT_NE(message_of([&] { Model::open(kDemo, options); }, ErrorKind::kInvalidArgument).find("got -1"),
            std::string::npos);
  EXPECT_NE(message_of([] { Model::open("/nowhere/at/all"); }, ErrorKind::kNotFound).find("/nowhere/at/all"),
            std::string::npos);
}

TEST(BuildInfoTest, HasAllParts) {
  EXPECT_EQ(build_text().find(build_info().version), 0u);
  for (const char* part : {build_info().commit, build_info().compiler, build_info().kind}) {
    EXPECT_NE(*part, '\0');
    EXPECT_NE(build_text().find(part), std::string::npos);
  }
}

}  // namespace
}  // namespace quire
