// Checks of numbers on the command line, in words that a person would use.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <limits>

namespace quire {

// "must be a number above 0, got -1"; with a limit: "must be a number above 0 and at most 1000, got 1e300".
CLI::Validator above_zero(double most = std::numeric_limits<double>::infinity());

// "must be a number of at least 0, got -1", likewise.
CLI::Validator not_negative(double most = std::numeric_limits<double>::infinity());

// "must be a whole number from 0 to 1, got 7".
CLI::Validator whole_number(std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                            std::int64_t most = std::numeric_limits<std::int64_t>::max());

// To be called when all flags are there: what CLI11 would take for a number that it is not is refused, in all
// commands. It takes 99999999999999999999 for the largest number of 64 bits, and nan for a number within any
// range.
void refuse_false_numbers(CLI::App& app);

}  // namespace quire
