// The name that somebody most likely meant.
#pragma once

#include <CLI/App.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace quire {

// The candidate with the fewest letters to add, drop, change or swap, if they are few for the length of
// `name`; the first of several.
std::optional<std::string> closest(std::string_view name, std::span<const std::string> candidates);

// For a command line that `app` refused because of words that it does not know: "Did you mean --max-tokens?",
// by the options and commands of `app`. Empty when nothing is close.
std::string suggest_words(const CLI::App& app, const CLI::ParseError& error);

}  // namespace quire
