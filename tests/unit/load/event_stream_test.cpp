#include "load/event_stream.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "load/answer_event.h"

namespace quire {
namespace {

using Events = std::vector<std::string>;

Events events_of(const std::string& bytes, std::size_t piece) {
  EventStream stream;
  Events events;
  for (std::size_t i = 0; i < bytes.size(); i += piece)
    stream.feed(std::string_view(bytes).substr(i, piece),
                [&](std::string_view data) { events.emplace_back(data); });
  return events;
}

TEST(EventStream, CutsAnywhereGiveTheSameEvents) {
  const std::string bytes =
      ": ping\n\ndata: {\"a\":1}\n\ndata:b\r\ndata:  c\r\n\r\nevent: x\rid: 7\rdata\rdata: d\r\r\n\ndata: "
      "[DONE]\n\n"
      "database: no\n\ndata: behind the last line";
  const Events expected = {"{\"a\":1}", "b\n c", "\nd", "[DONE]"};
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece)
    EXPECT_EQ(events_of(bytes, piece), expected) << piece;
}

TEST(EventStream, KeepsNoEndlessEvent) {
  EventStream stream;
  const std::string part(1 << 20, 'x');
  const auto feed = [&] {
    for (int i = 0; i < 20; ++i) stream.feed(part, [](std::string_view) {});
  };
  EXPECT_THROW(feed(), Error);
}

TEST(AnswerEvent, ReadsChatChunks) {
  const AnswerEvent event = parse_answer_event(
      R"({"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"He\"llo\n"},"finish_reason":null}],"usage":null})");
  EXPECT_EQ(event.text, "He\"llo\n");
  EXPECT_FALSE(event.is_finished);
  EXPECT_FALSE(event.output_len);
}

TEST(AnswerEvent, ReadsReasoningToo) {
  EXPECT_EQ(parse_answer_event(R"({"choices":[{"delta":{"reasoning_content":"hm"}}]})").text, "hm");
}

TEST(AnswerEvent, ReadsCompletionsAndWholeAnswers) {
  EXPECT_EQ(parse_answer_event(R"({"choices":[{"text":"a","finish_reason":"stop"}]})").text, "a");
  EXPECT_TRUE(parse_answer_event(R"({"choices":[{"text":"a","finish_reason":"stop"}]})").is_finished);
  EXPECT_EQ(parse_answer_event(R"({"choices":[{"message":{"content":"b"}}]})").text, "b");
}

TEST(AnswerEvent, ReadsUsage) {
  const AnswerEvent event = parse_answer_event(
      R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":3},"x":{"completion_tokens":7}}})");
  EXPECT_EQ(event.prompt_len, 9);
  EXPECT_EQ(event.output_len, 4);
  EXPECT_EQ(event.cached_len, 3);
}

TEST(AnswerEvent, WordsOfTheModelAreNotStructure) {
  const AnswerEvent event = parse_answer_event(
      R"({"choices":[{"delta":{"content":"\"usage\":{\"completion_tokens\":5} error"}}]})");
  EXPECT_FALSE(event.output_len);
  EXPECT_TRUE(event.error.empty());
}

TEST(AnswerEvent, ReadsErrors) {
  EXPECT_EQ(parse_answer_event(R"({"error":{"message":"no page left","code":500}})").error, "no page left");
  EXPECT_EQ(parse_answer_event(R"({"error":"plain"})").error, "plain");
  EXPECT_EQ(parse_answer_event(R"({"error":null})").error, "");
}

TEST(AnswerEvent, RefusesWhatIsNoObject) {
  for (const char* text : {"", "1", "null", "[1]", "{", "{\"a\":}", "\"x\"", "{} {}"})
    EXPECT_THROW(parse_answer_event(text), Error) << text;
  EXPECT_THROW(parse_answer_event(std::string(100000, '{')), Error);
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "{\"a\":";
  EXPECT_THROW(parse_answer_event(deep), Error);
}

}  // namespace
}  // namespace quire
