// Files that appear complete or not at all, also with several processes at a time and when the machine stops.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace quire {

// Writes the parts, in order, to a file beside `path` and renames it. A folder that is not there is made, readable by its owner only.
// Empty, or the reason why not.
std::string write_atomically(const std::filesystem::path& path, std::span<const std::string_view> parts);

// Whether a file's name is that of a write_atomically that was interrupted.
bool is_partial_name(const std::string& name);

}  // namespace quire
