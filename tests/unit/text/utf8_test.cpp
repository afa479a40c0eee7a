#include "text/utf8.h"

#include <gtest/gtest.h>

namespace quire {
namespace {

std::string repaired(std::string_view bytes) {
  std::string out;
  EXPECT_EQ(append_lossy_utf8(out, bytes, true), bytes.size());
  return out;
}

TEST(Utf8, EveryCodePointRoundTrips) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c == 0xD800) c = 0xE000;
    std::string text = "x";
    append_utf8(text, c);
    const Utf8Char read = decode_utf8(text, 1);
    ASSERT_TRUE(read.is_valid);
    ASSERT_EQ(read.code_point, c);
    ASSERT_EQ(read.num_bytes + 1, text.size());
    ASSERT_EQ(previous_utf8(text, text.size()), 1u);
    ASSERT_TRUE(is_valid_utf8(text));
  }
}

// The table of the Unicode standard, section 3.9: each maximal part becomes one U+FFFD.
TEST(Utf8, MaximalInvalidPartsAreReplaced) {
  EXPECT_EQ(repaired("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64"),
            "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd");
  EXPECT_EQ(repaired("\xC0\xAF\xE0\x80\xBF"), "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD");  // overlong
  EXPECT_EQ(repaired("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");                      // surrogate
  EXPECT_EQ(repaired("\xF4\x91\x92\x93"), "\uFFFD\uFFFD\uFFFD\uFFFD");            // above U+10FFFF
  EXPECT_EQ(repaired("\xFF\xFE"), "\uFFFD\uFFFD");
  EXPECT_FALSE(is_valid_utf8("\xED\xA0\x80"));
}

TEST(Utf8, AnUnfinishedCharacterIsLeftForLater) {
  std::string out;
  EXPECT_EQ(append_lossy_utf8(out, "a\xF0\x9F\x98", false), 1u);
  EXPECT_EQ(out, "a");
  EXPECT_EQ(append_lossy_utf8(out, "\xF0\x9F\x98\x80", false), 4u);
  EXPECT_EQ(append_lossy_utf8(out, "\xF0\x9Fx", false), 3u);
  EXPECT_EQ(out, "a\U0001F600\uFFFDx");
}

TEST(Utf8, ShortenKeepsWholeCharacters) {
  EXPECT_EQ(shorten("aé", 2), "a");
  EXPECT_EQ(shorten("aé", 3), "aé");
  EXPECT_EQ(shorten("é", 1), "");
}

}  // namespace
}  // namespace quire
