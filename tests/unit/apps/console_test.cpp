#include "apps/console.h"

#include <gtest/gtest.h>

namespace quire {
namespace {

TEST(Console, PlainTextCommandsNoTerminal) {
  EXPECT_EQ(plain_text("two\nlines\tand é, 🩷"), "two\nlines\tand é, 🩷");
  EXPECT_EQ(plain_text("\x1b[31mred\r\b\x7f"), "\\x1b[31mred\\x0d\\x08\\x7f");
  EXPECT_EQ(plain_text(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(plain_text("\xc2\x9b" "31m"), "\\xc2\\x9b31m") << "CSI in one character";
  EXPECT_EQ(plain_text("\xff" "a\xc3"), "\\xffa\\xc3");
}

}  // namespace
}  // namespace quire
