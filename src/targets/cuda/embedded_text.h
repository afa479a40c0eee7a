// The text of kernels and tile language inside the program, for the run-time compiler. Made by
// cmake/embed_text.cmake.
#pragma once

#include <span>
#include <string_view>

namespace quire {

struct NamedText {
  const char* name;  // as an #include names it: relative to src/
  std::string_view text;
};

std::span<const NamedText> embedded_kernel_text();

}  // namespace quire
