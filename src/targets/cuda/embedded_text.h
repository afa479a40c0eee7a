// The text of kernels and tile language inside the program, for the run-time compiler.
#pragma once

#include "base/named_text.h"

namespace quire {

std::span<const NamedText> embedded_kernel_text();  // names as an #include has them: relative to src/

}  // namespace quire
