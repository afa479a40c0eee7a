#include "apps/number_checks.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>
#include <string>

namespace quire {
namespace {

// The value of a text that is a number and nothing else.
std::optional<double> number_in(const std::string& text) {
  double value = 0;
  const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(begin, end, value);
  return result.ec == std::errc() && result.ptr == end ? std::optional(value) : std::nullopt;
}

std::string refusal(const char* range, double most, const std::string& text) {
  const bool is_bounded = most < std::numeric_limits<double>::infinity();
  return fmt::format("must be a number {}{}, got {}", range,
                     is_bounded ? fmt::format(" and at most {:.15g}", most) : "", text);
}

// Sizes reach a check as a number of bytes, whatever unit they had.
CLI::Validator size_in_bytes() {
  static constexpr std::int64_t kMost = std::int64_t{1} << 50;
  return CLI::Validator(
      [](const std::string& text) {
        const auto value = number_in(text);
        const bool ok = value && *value >= 0 && *value <= static_cast<double>(kMost);
        return ok ? std::string() : fmt::format("must be a size from 0 to {} bytes", kMost);
      },
      "");
}

CLI::Validator finite_number() {
  return CLI::Validator(
      [](const std::string& text) {
        const auto value = number_in(text);
        return value && std::isfinite(*value) ? std::string() : fmt::format("must be a number, got {}", text);
      },
      "");
}

}  // namespace

CLI::Validator whole_number(std::int64_t least, std::int64_t most) {
  const auto check = [least, most](const std::string& text) {
    std::int64_t value = 0;
    const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
    const char* end = text.data() + text.size();
    const auto result = std::from_chars(begin, end, value);
    const bool ok = result.ec == std::errc() && result.ptr == end && value >= least && value <= most;
    return ok ? std::string()
              : fmt::format("must be a whole number from {} to {}, got {}", least, most, text);
  };
  return CLI::Validator(check, "");
}

void refuse_false_numbers(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands({})) refuse_false_numbers(*command);
  for (CLI::Option* option : app.get_options()) {
    const std::string type = option->get_type_name();
    if (type.starts_with("INT")) option->check(whole_number());
    if (type.starts_with("UINT")) option->check(whole_number(0));
    if (type.starts_with("FLOAT")) option->check(finite_number());
    if (type.starts_with("SIZE")) option->check(size_in_bytes());
  }
}

CLI::Validator above_zero(double most) {
  return CLI::Validator(
      [most](const std::string& text) {
        const auto value = number_in(text);
        return value && *value > 0 && *value <= most ? std::string() : refusal("above 0", most, text);
      },
      "POSITIVE");
}

CLI::Validator not_negative(double most) {
  return CLI::Validator(
      [most](const std::string& text) {
        const auto value = number_in(text);
        return value && *value >= 0 && *value <= most ? std::string() : refusal("of at least 0", most, text);
      },
      "NONNEGATIVE");
}

}  // namespace quire
