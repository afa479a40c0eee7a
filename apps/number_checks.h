// Checks of numbers on the command line, in words that a person would use.
#pragma once

#include <CLI/App.hpp>
#include <limits>

namespace quire {

// "must be a number above 0, got -1"; with a limit: "must be a number above 0 and at most 1000, got 1e300".
CLI::Validator above_zero(double most = std::numeric_limits<double>::infinity());

// "must be a number of at least 0, got -1", likewise.
CLI::Validator not_negative(double most = std::numeric_limits<double>::infinity());

}  // namespace quire
