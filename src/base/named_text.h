// The text of a file that was put into the program when it was built. Made by cmake/embed_text.cmake.
#pragma once

#include <span>
#include <string_view>

namespace quire {

struct NamedText {
  const char* name;  // relative to the folder that the build names
  std::string_view text;
};

}  // namespace quire
