// Bodies and events, byte for byte where clients depend on it.
#include "server/answer_format.h"

#include <gtest/gtest.h>

#include <cmath>

namespace quire {
namespace {

ServedModel model_with_tokenizer() {
  ServedModel model;
  model.tokenizer =
      std::make_shared<const Tokenizer>(Tokenizer::from_file(QUIRE_SOURCE_DIR "/models/demo/tokenizer.json"));
  model.eos_tokens = {2};
  return model;
}

const ServedModel& model() {
  static const ServedModel shared = model_with_tokenizer();
  return shared;
}

PreparedCall call_of(CallKind kind) {
  PreparedCall call;
  call.kind = kind;
  call.settings.model = "m\"x";
  call.prompts = {{5, 6}};
  call.prompt_texts = {""};
  return call;
}

AnswerPiece piece(std::string text, FinishReason reason = FinishReason::kNone, std::int32_t output_len = 1) {
  AnswerPiece result;
  result.output.text = std::move(text);
  result.output.finish_reason = reason;
  result.output.prompt_len = 2;
  result.output.output_len = output_len;
  return result;
}

TEST(AnswerFormat, TextInsideJson) {
  std::string out;
  append_json_text(out, "a\"\\\n\t\x01 é😀\x7f");
  EXPECT_EQ(out, "a\\\"\\\\\\n\\u0009\\u0001 é😀\x7f");
  EXPECT_EQ(Json::parse("\"" + out + "\"").get<std::string>(), "a\"\\\n\t\x01 é😀\x7f");
}

TEST(AnswerFormat, EventsOfChat) {
  AnswerFormat format(call_of(CallKind::kChat), model(), "7", 99);
  const std::string head =
      R"(data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":99,"model":"m\"x","choices":[)";
  EXPECT_EQ(
      format.events(piece("Hi")),
      head +
          R"({"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]})" +
          "\n\n" + head + R"({"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}]})" +
          "\n\n");
  EXPECT_EQ(format.events(piece("")), "") << "held-back text makes no event";
  EXPECT_EQ(
      format.events(piece("", FinishReason::kStop)),
      head +
          R"({"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"stop","stop_reason":null}]})" +
          "\n\n");
  EXPECT_EQ(format.last_events(), "data: [DONE]\n\n");
}

TEST(AnswerFormat, UsageComesLastWithoutChoices) {
  PreparedCall call = call_of(CallKind::kCompletion);
  call.settings.include_usage = true;
  AnswerFormat format(call, model(), "7", 99);
  format.events(piece("a", FinishReason::kLength, 5));
  const std::string last = format.last_events();
  const Json usage = Json::parse(last.substr(6, last.find("\n\n") - 6));
  EXPECT_EQ(usage["choices"], Json::array());
  EXPECT_EQ(usage["usage"]["prompt_tokens"], 2);
  EXPECT_EQ(usage["usage"]["completion_tokens"], 5);
  EXPECT_EQ(usage["usage"]["total_tokens"], 7);
  EXPECT_TRUE(last.ends_with("\n\ndata: [DONE]\n\n"));
}

TEST(AnswerFormat, AStopReasonIsWhatMatched) {
  AnswerFormat format(call_of(CallKind::kCompletion), model(), "7", 99);
  AnswerPiece by_string = piece("x", FinishReason::kStop), by_token = by_string, by_end = by_string;
  by_string.output.stop_string = "a\"b";
  by_token.output.stop_token = 77;
  by_end.output.stop_token = 2;
  EXPECT_NE(format.events(by_string).find(R"("stop_reason":"a\"b")"), std::string::npos);
  EXPECT_NE(format.events(by_token).find(R"("stop_reason":77)"), std::string::npos);
  EXPECT_NE(format.events(by_end).find(R"("stop_reason":null)"), std::string::npos);
}

TEST(AnswerFormat, InfinityIsANumberAndNothingIsNaN) {
  PreparedCall call = call_of(CallKind::kChat);
  call.settings.params.logprobs = 1;
  AnswerFormat format(call, model(), "7", 99);
  AnswerPiece token = piece("x", FinishReason::kLength);
  token.output.logprobs.push_back({{10, -INFINITY}, 1, {{11, NAN}}});
  format.collect(std::move(token));
  const Json entry = Json::parse(format.body())["choices"][0]["logprobs"]["content"][0];
  EXPECT_EQ(entry["logprob"], -9999.0);
  EXPECT_EQ(entry["top_logprobs"][0]["logprob"], -9999.0);
}

TEST(AnswerFormat, SeveralAnswersCountTheirPromptOnce) {
  PreparedCall call = call_of(CallKind::kCompletion);
  call.settings.n = 2;
  AnswerFormat format(call, model(), "7", 99);
  for (std::size_t idx : {1, 0}) {
    AnswerPiece part = piece(idx == 0 ? "zero" : "one", FinishReason::kStop, 3);
    part.answer_idx = idx;
    format.collect(std::move(part));
  }
  const Json body = Json::parse(format.body());
  EXPECT_EQ(body["choices"][0]["text"], "zero");
  EXPECT_EQ(body["choices"][1]["text"], "one");
  EXPECT_EQ(body["usage"]["prompt_tokens"], 2);
  EXPECT_EQ(body["usage"]["completion_tokens"], 6);
}

TEST(AnswerFormat, EchoComesOnceAndScoringHidesTheAnswer) {
  PreparedCall call = call_of(CallKind::kCompletion);
  call.echo = true;
  call.prompt_texts = {"prompt "};
  AnswerFormat format(call, model(), "7", 99);
  EXPECT_NE(format.events(piece("a")).find(R"("text":"prompt a")"), std::string::npos);
  EXPECT_NE(format.events(piece("b")).find(R"("text":"b")"), std::string::npos);
  call.is_scoring = true;
  AnswerFormat scoring(call, model(), "7", 99);
  scoring.collect(piece("a", FinishReason::kLength));
  const Json body = Json::parse(scoring.body());
  EXPECT_EQ(body["choices"][0]["text"], "prompt ");
  EXPECT_EQ(body["usage"]["completion_tokens"], 0);
}

}  // namespace
}  // namespace quire
