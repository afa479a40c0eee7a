// --config FILE: flags from a file. The command line wins over the environment, which wins over the file.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quire {

// Flags of a flat YAML text, in its order: `key: value`, `key: [a, b]`, or `key:` with lines `- value` below;
// comments, quotes. A list gives one pair for each value. Throws Error{kInvalidArgument} that names origin
// and line for anything else.
std::vector<std::pair<std::string, std::string>> parse_config(std::string_view text,
                                                              const std::string& origin);

// `args` as main() got them, without the program's name. If the command they name takes --config and a file
// is given (or set in the environment), the file's flags are added at the end, but for those that the
// arguments or the environment set. Throws Error{kNotFound, kInvalidArgument}.
std::vector<std::string> with_config_file(const CLI::App& app, std::vector<std::string> args);

}  // namespace quire
