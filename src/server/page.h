// The live page, embedded when Quire is built from page/index.html.
#pragma once

#include <string_view>

namespace quire {

std::string_view live_page();

}  // namespace quire
