#include "load/trace.h"

#include <cmath>

#include "base/check.h"
#include "base/json.h"
#include "base/text_file.h"
#include "load/length_law.h"

namespace quire {
namespace {

int length_in(const Json& value, const std::string& where) {
  QUIRE_CHECK(value.is_number_integer() && value >= 1 && value <= LengthLaw::kMost,
              "{} must be a whole number from 1 to {}, got {}", where, LengthLaw::kMost, value.dump());
  return value.get<int>();
}

std::string text_in(const Json& value, const std::string& where) {
  QUIRE_CHECK(value.is_string() && !value.get_ref<const std::string&>().empty(),
              "{} must be a text that is not empty, got {}", where, value.dump());
  return value.get<std::string>();
}

TraceEntry parse_entry(std::string_view line, const std::string& where) {
  Json json;
  try {
    json = parse_json(line, where, {.max_bytes = 16u << 20, .max_depth = 4});
  } catch (const Error& e) {
    throw Error(ErrorKind::kInvalidArgument, e.what());
  }
  QUIRE_CHECK(json.is_object(), "{}: must be an object", where);
  TraceEntry entry;
  for (const auto& [key, value] : json.items()) {
    const std::string here = where + ": " + key;
    if (key == "prompt_len") {
      entry.prompt_len = length_in(value, here);
    } else if (key == "output_len") {
      entry.output_len = length_in(value, here);
    } else if (key == "prefix_len") {
      entry.prefix_len = length_in(value, here);
    } else if (key == "prompt") {
      entry.prompt = text_in(value, here);
    } else if (key == "prefix") {
      entry.prefix = text_in(value, here);
    } else if (key == "arrival_s") {
      QUIRE_CHECK(value.is_number() && value >= 0, "{} must be a number of at least 0, got {}", here,
                  value.dump());
      entry.arrival_s = value.get<double>();
    } else {
      throw_error(ErrorKind::kInvalidArgument, "{}: is no key of a trace", here);
    }
  }
  QUIRE_CHECK(entry.output_len > 0, "{}: output_len is missing", where);
  QUIRE_CHECK((entry.prompt_len > 0) != !entry.prompt.empty(), "{}: needs one of prompt_len and prompt",
              where);
  QUIRE_CHECK(entry.prefix.empty() == (entry.prefix_len == 0), "{}: prefix and prefix_len go together",
              where);
  QUIRE_CHECK(entry.prefix.empty() || entry.prompt_len > entry.prefix_len,
              "{}: prompt_len {} must be more than prefix_len {}", where, entry.prompt_len, entry.prefix_len);
  return entry;
}

}  // namespace

std::vector<TraceEntry> parse_trace(std::string_view text, const std::string& origin) {
  std::vector<TraceEntry> entries;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{} line {}", origin, number);
    entries.push_back(parse_entry(line, where));
    if (entries.size() == 1) continue;
    const auto &before = entries[entries.size() - 2].arrival_s, &now = entries.back().arrival_s;
    QUIRE_CHECK(before.has_value() == now.has_value(), "{}: arrival_s must be on every line or on none",
                where);
    QUIRE_CHECK(!now || *now >= *before, "{}: arrival_s {} is before the line above, {}", where, *now,
                *before);
  }
  QUIRE_CHECK(!entries.empty(), "{}: the trace is empty", origin);
  return entries;
}

std::vector<TraceEntry> read_trace(const std::string& path) {
  constexpr std::size_t kMaxTraceBytes = 256u << 20;
  return parse_trace(read_text_file(path, kMaxTraceBytes, "the trace"), path);
}

}  // namespace quire
