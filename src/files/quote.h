// How names and shapes out of files appear in messages. Files come from strangers and messages go to
// terminals and logs, so control bytes are escaped and lengths are bounded.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace quire {

// "name" in double quotes, at most 120 bytes of it.
std::string quote(std::string_view name);

// [2, 3, 4], at most 8 extents of it; [] for a scalar.
std::string shape_text(std::span<const std::int64_t> shape);

}  // namespace quire
