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

TEST(AnswerFormat, ScoringHasTheReasonOfItsLength) {
  PreparedCall call = call_of(CallKind::kCompletion);
  call.echo = true;
  call.is_scoring = true;
  call.prompt_texts = {"prompt"};
  AnswerFormat format(call, model(), "7", 99);
  const std::string events = format.events(piece("", FinishReason::kLength, 0));
  EXPECT_NE(events.find(R"("text":"prompt")"), std::string::npos) << events;
  EXPECT_NE(events.find(R"("finish_reason":"length")"), std::string::npos) << events;
}

TEST(AnswerFormat, TokenIdsOnRequest) {
  for (const CallKind kind : {CallKind::kCompletion, CallKind::kChat}) {
    PreparedCall call = call_of(kind);
    call.settings.returns_token_ids = true;
    AnswerPiece first = piece("a"), last = piece("b", FinishReason::kStop, 2);
    first.output.token_ids = {7};
    last.output.token_ids = {8, 2};
    AnswerFormat stream(call, model(), "7", 99);
    const std::string events = stream.events(first), more = stream.events(last);
    EXPECT_NE(events.find(R"("prompt_token_ids":[5,6])"), std::string::npos) << events;
    EXPECT_NE(events.find(R"("token_ids":[7])"), std::string::npos) << events;
    EXPECT_EQ(more.find("prompt_token_ids"), std::string::npos) << more;
    EXPECT_NE(more.find(R"("token_ids":[8,2])"), std::string::npos) << more;
    AnswerFormat whole(call, model(), "7", 99);
    whole.collect(std::move(first));
    whole.collect(std::move(last));
    const Json body = Json::parse(whole.body());
    EXPECT_EQ(body["choices"][0]["token_ids"], (std::vector<int>{7, 8, 2}));
    const Json& holder = kind == CallKind::kChat ? body : body["choices"][0];
    EXPECT_EQ(holder["prompt_token_ids"], (std::vector<int>{5, 6}));
  }
  const std::string plain = AnswerFormat(call_of(CallKind::kChat), model(), "7", 99).events(piece("a"));
  EXPECT_EQ(plain.find("token_ids"), std::string::npos);
}

TokenLogprobs logprob_of(std::int32_t token) {
  TokenLogprobs logprobs;
  logprobs.chosen = {token, -1.0f};
  logprobs.rank = 1;
  return logprobs;
}

TEST(AnswerFormat, TokensAsIdsOnRequest) {
  for (const CallKind kind : {CallKind::kCompletion, CallKind::kChat}) {
    PreparedCall call = call_of(kind);
    call.settings.shows_tokens_as_ids = true;
    call.settings.params.logprobs = 0;
    AnswerPiece answer = piece("a", FinishReason::kStop);
    answer.output.logprobs = {logprob_of(9)};
    AnswerFormat format(call, model(), "7", 99);
    format.collect(std::move(answer));
    const Json logprobs = Json::parse(format.body())["choices"][0]["logprobs"];
    EXPECT_EQ(kind == CallKind::kChat ? logprobs["content"][0]["token"] : logprobs["tokens"][0],
              "token_id:9");
  }
}

// A tokenizer whose decoder cuts the first space of a text: offsets are places in the text that is shown.
TEST(AnswerFormat, OffsetsAreThoseOfTheShownText) {
  ServedModel spaced;
  spaced.tokenizer = std::make_shared<const Tokenizer>(
      Tokenizer::from_file(QUIRE_SOURCE_DIR "/tests/golden/tokenizer/llama2.tokenizer.json"));
  const auto id = [&](const char* token) { return spaced.tokenizer->token_to_id(token).value(); };
  const std::int32_t the = id("▁the");
  PreparedCall call = call_of(CallKind::kCompletion);
  call.settings.params.logprobs = 0;
  call.prompts = {spaced.tokenizer->encode("the", {})};
  const std::size_t num_prompt = call.prompts[0].size();
  const auto offsets_of = [&](bool echo, bool is_stream) {
    call.echo = echo;
    call.prompt_texts = {echo ? "the" : ""};
    AnswerPiece one = piece(" the"), two = piece(" the", FinishReason::kLength, 2);
    one.output.logprobs = {logprob_of(the)};
    two.output.logprobs = {logprob_of(the)};
    for (std::size_t i = 1; i < num_prompt; ++i) one.output.prompt_logprobs.push_back(logprob_of(the));
    AnswerFormat format(call, spaced, "7", 99);
    std::vector<int> offsets;
    if (is_stream) {
      for (AnswerPiece* each : {&one, &two}) {
        const std::string event = format.events(*each);
        const Json json = Json::parse(event.substr(6));
        for (const Json& at : json["choices"][0]["logprobs"]["text_offset"]) offsets.push_back(at.get<int>());
      }
    } else {
      format.collect(std::move(one));
      format.collect(std::move(two));
      const Json choice = Json::parse(format.body())["choices"][0];
      EXPECT_EQ(choice["text"], echo ? "the the the" : " the the");
      for (const Json& at : choice["logprobs"]["text_offset"]) offsets.push_back(at.get<int>());
    }
    return offsets;
  };
  std::vector<int> echoed(num_prompt, 0);  // the beginning token stands for no text
  echoed.insert(echoed.end(), {3, 7});
  for (const bool is_stream : {false, true}) {
    EXPECT_EQ(offsets_of(true, is_stream), echoed);
    EXPECT_EQ(offsets_of(false, is_stream), (std::vector<int>{0, 4}));
  }
}

}  // namespace
}  // namespace quire
