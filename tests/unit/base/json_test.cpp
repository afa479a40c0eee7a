#include "base/json.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "hostile/values.h"

namespace quire {
namespace {

std::string message_of(const std::string& text, const JsonLimits& limits = {}) {
  try {
    parse_json(text, "x.json", limits);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kCorruptFile);
    return e.what();
  }
  return "";
}

TEST(Json, Parses) {
  const Json json = parse_json(R"({"b": 1, "a": [true, null, "é"]})", "x.json");
  EXPECT_EQ(json.dump(), R"({"a":[true,null,"é"],"b":1})");
}

TEST(Json, RefusesWithOrigin) {
  EXPECT_NE(message_of("{").find("x.json: "), std::string::npos);
  EXPECT_NE(message_of(R"({"k": 1, "k": 2})").find("\"k\" appears twice"), std::string::npos);
  EXPECT_NE(message_of("\"\xff\"").find("x.json: "), std::string::npos);
  EXPECT_NE(message_of(std::string(100000, '[')).find("deeper than 64"), std::string::npos);
  EXPECT_NE(message_of("[1,2,3]", {.max_values = 2}).find("more than 2 values"), std::string::npos);
  EXPECT_NE(message_of("[1,2,3]", {.max_bytes = 3}).find("7 bytes"), std::string::npos);
}

TEST(Json, RefusesEveryBrokenDocument) {
  for (const HostileText& document : broken_documents())
    EXPECT_TRUE(message_of(document.text).starts_with("x.json: ")) << document.name;
}

TEST(Json, RefusalsSayWhatIsWrongAndNoMoreOfTheDocumentThanTheyNeed) {
  EXPECT_EQ(message_of("{\"a\":1 /"),
            "x.json: parse error at line 1, column 8: syntax error while parsing object - invalid literal; "
            "expected '}' (byte 8, \"1 /\")");
  const std::string long_text(1'000'000, 'a');
  const std::vector<std::string> documents = {"\"" + long_text,
                                              "[\"" + long_text + "\" 5",
                                              long_text,
                                              "1" + std::string(1'000'000, '0'),
                                              "{\"" + long_text + "\":1,\"" + long_text + "\":2}",
                                              "\"'; expected " + long_text,
                                              "[1e400]"};
  for (const std::string& document : documents) {
    const std::string message = message_of(document);
    EXPECT_LT(message.size(), 400u) << message.substr(0, 400);
    EXPECT_EQ(message.find("exception"), std::string::npos) << message;
  }
}

TEST(Json, ADismantledTreeIsEmptyAndWasNotTooDeep) {
  std::string text = "1";
  for (int i = 0; i < 60; ++i) text = i % 2 == 0 ? "[" + text + ",2]" : "{\"a\":" + text + ",\"b\":[]}";
  Json tree = parse_json(text, "deep");
  { const TreeScope scope(tree); }
  EXPECT_TRUE(tree.empty());
  Json scalar = 7;
  dismantle(scalar);
  EXPECT_EQ(scalar, 7);
}

}  // namespace
}  // namespace quire
