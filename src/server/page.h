// The live page inside the program.
#pragma once

#include "base/named_text.h"

namespace quire {

std::span<const NamedText> live_page();  // one file

}  // namespace quire
