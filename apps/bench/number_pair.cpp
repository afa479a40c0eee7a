#include "apps/bench/number_pair.h"

#include <charconv>

#include "base/check.h"

namespace quire {

NumberPair parse_number_pair(const std::string& flag, const std::string& text) {
  NumberPair pair{};
  const char* const end = text.data() + text.size();
  auto [at, error] = std::from_chars(text.data(), end, pair.first);
  bool is_good = error == std::errc();
  pair.second = pair.first;
  if (is_good && at < end) {
    is_good = *at == '/';
    const auto result = std::from_chars(at + 1, end, pair.second);
    is_good = is_good && result.ec == std::errc() && result.ptr == end;
  }
  QUIRE_CHECK(is_good && pair.first > 0 && pair.second > 0,
              "{} must be a number or two joined by /, e.g. 32/8, got \"{}\"", flag, text);
  return pair;
}

}  // namespace quire
