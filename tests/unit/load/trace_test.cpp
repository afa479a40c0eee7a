#include "load/trace.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace quire {
namespace {

TEST(Trace, ReadsEveryKey) {
  const auto entries = parse_trace(
      "{\"prompt_len\": 9, \"output_len\": 3, \"arrival_s\": 0}\r\n\n"
      "{\"output_len\": 1, \"prompt\": \"Hi\", \"arrival_s\": 0.5}\n"
      "{\"prompt_len\": 20, \"output_len\": 2, \"prefix\": \"a\", \"prefix_len\": 12, \"arrival_s\": 0.5}",
      "t");
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].prompt_len, 9);
  EXPECT_EQ(entries[0].arrival_s, 0);
  EXPECT_EQ(entries[1].prompt, "Hi");
  EXPECT_EQ(entries[2].prefix_len, 12);
  EXPECT_EQ(entries[2].arrival_s, 0.5);
}

TEST(Trace, NamesLineAndKeyOfAFault) {
  const struct {
    const char *text, *words;
  } cases[] = {
      {"", "empty"},
      {"\n\n", "empty"},
      {"[1]", "must be an object"},
      {"{", "t line 1"},
      {"{\"prompt_len\": 1}", "output_len is missing"},
      {"{\"output_len\": 1}", "one of prompt_len and prompt"},
      {"{\"output_len\": 1, \"prompt_len\": 2, \"prompt\": \"x\"}", "one of prompt_len and prompt"},
      {"{\"output_len\": 0, \"prompt_len\": 2}", "output_len must be"},
      {"{\"output_len\": 1.5, \"prompt_len\": 2}", "output_len must be"},
      {"{\"output_len\": 1, \"prompt_len\": \"2\"}", "prompt_len must be"},
      {"{\"output_len\": 1, \"prompt_len\": 99999999999}", "prompt_len must be"},
      {"{\"output_len\": 1, \"prompt\": \"\"}", "prompt must be"},
      {"{\"output_len\": 1, \"prompt_len\": 2, \"arrival_s\": -1}", "arrival_s must be"},
      {"{\"output_len\": 1, \"prompt_len\": 2, \"arrival\": 1}", "arrival: is no key"},
      {"{\"output_len\": 1, \"prompt_len\": 2, \"prefix\": \"a\"}", "go together"},
      {"{\"output_len\": 1, \"prompt_len\": 2, \"prefix\": \"a\", \"prefix_len\": 2}",
       "more than prefix_len"},
      {"{\"output_len\": 1, \"prompt_len\": 2}\n{\"output_len\": 1, \"prompt_len\": 2, \"arrival_s\": 1}",
       "t line 2"},
      {"{\"output_len\": 1, \"prompt_len\": 2, \"arrival_s\": 2}\n{\"output_len\": 1, \"prompt_len\": 2, "
       "\"arrival_s\": 1}",
       "before the line above"},
  };
  for (const auto& c : cases) {
    try {
      parse_trace(c.text, "t");
      ADD_FAILURE() << c.text;
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kInvalidArgument) << c.text;
      EXPECT_NE(std::string(e.what()).find(c.words), std::string::npos) << c.text << " gave " << e.what();
    }
  }
}

TEST(Trace, MissingFile) {
  try {
    read_trace("/nowhere/trace.jsonl");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kNotFound);
  }
}

}  // namespace
}  // namespace quire
