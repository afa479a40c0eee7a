#include "apps/number_checks.h"

#include <fmt/format.h>

#include <charconv>
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

}  // namespace

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
