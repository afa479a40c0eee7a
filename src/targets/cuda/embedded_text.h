// Texts inside the program: kernels and tile language for the run-time compiler, and tuned configurations.
#pragma once

#include "base/named_text.h"

namespace quire {

std::span<const NamedText> embedded_kernel_text();  // names as an #include has them: relative to src/

std::span<const NamedText>
embedded_tuned_tables();  // configurations that were measured and come with the program

}  // namespace quire
