// What is written value by value reads back as the same values.
#include "server/json_text.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "base/json.h"

namespace quire {
namespace {

TEST(JsonText, CommasComeByThemselves) {
  JsonText out;
  out.begin('{').member("a", 1).key("b").begin('[').number(-2).null().text("c").begin('{').end('}').end(']');
  out.key("d").begin('[').end(']').key("e").numbers(std::vector<int>{3, 4}).key("f").raw("[5,6]").end('}');
  EXPECT_EQ(out.take(), R"({"a":1,"b":[-2,null,"c",{}],"d":[],"e":[3,4],"f":[5,6]})");
}

TEST(JsonText, NumbersReadBackAsTheyWere) {
  for (const double value : {0.0, -0.0, 1.0, -9999.0, 0.1, -1.1920928955078125e-07, 1e300, 5e-324,
                             123456789.5, static_cast<double>(std::numeric_limits<float>::min())}) {
    const std::string text = JsonText().number(value).take();
    const Json read = Json::parse(text);
    EXPECT_TRUE(read.is_number_float()) << text;
    EXPECT_EQ(read.get<double>(), value) << text;
  }
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(Json::parse(JsonText().number(kLeast).take()).get<std::int64_t>(), kLeast);
}

TEST(JsonText, StringsReadBackAsTheyWereAndAreUtf8) {
  std::string all;
  for (int c = 0; c < 0x80; ++c) all += static_cast<char>(c);
  all += "é😀";
  EXPECT_EQ(Json::parse(JsonText().text(all).take()).get<std::string>(), all);
  EXPECT_EQ(Json::parse(JsonText().text("a\xff\xe2\x82").take()).get<std::string>(), "a\uFFFD\uFFFD");
  EXPECT_EQ(Json::parse(JsonText().begin('{').member(all, "x").end('}').take()).begin().key(), all);
}

}  // namespace
}  // namespace quire
