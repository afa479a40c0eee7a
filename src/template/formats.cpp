// %-formatting of values, and of times.
#include <chrono>
#include <cmath>

#include "template/natives.h"
#include "template/value_text.h"

namespace quire::jinja {
namespace {

struct Directive {
  bool is_left = false, is_zero_filled = false;
  int width = 0;
  int precision = -1;  // -1 = none
};

constexpr int kMaxWidth = 1000;

int read_number(std::string_view format, std::size_t& at) {
  int number = 0;
  for (; at < format.size() && format[at] >= '0' && format[at] <= '9'; ++at) {
    number = number * 10 + (format[at] - '0');
    if (number > kMaxWidth) fail("a format asks for a width above {}", kMaxWidth);
  }
  return number;
}

Directive read_directive(std::string_view format, std::size_t& at) {
  Directive directive;
  for (; at < format.size() && (format[at] == '-' || format[at] == '0'); ++at) {
    (format[at] == '-' ? directive.is_left : directive.is_zero_filled) = true;
  }
  directive.width = read_number(format, at);
  if (at < format.size() && format[at] == '.') directive.precision = read_number(format, ++at);
  return directive;
}

Text converted(char kind, const Directive& directive, const Value& value, Budget& budget) {
  switch (kind) {
    case 's':
    case 'r': {
      Text text = kind == 's' ? *to_text(value, budget) : to_repr(value, budget);
      if (directive.precision < 0) return text;
      const auto offsets = char_offsets(text.bytes());
      return text.cut(0,
                      offsets[std::min(offsets.size() - 1, static_cast<std::size_t>(directive.precision))]);
    }
    case 'd':
    case 'i':
      if (!is_number(value)) fail("%{} needs a number, got {}", kind, type_name(value));
      if (value.is<double>()) return Text(fmt::format("{:.0f}", std::trunc(as_double(value))));
      return Text(fmt::format("{}", integer_of(value, "%d")));
    case 'x':
      return Text(fmt::format("{:x}", integer_of(value, "%x")));
    case 'f':
      if (!is_number(value)) fail("%f needs a number, got {}", type_name(value));
      return Text(
          fmt::format("{:.{}f}", as_double(value), directive.precision < 0 ? 6 : directive.precision));
    default:
      throw_error(ErrorKind::kUnsupported, "the format %{} is not supported", kind);
  }
}

void append_padded(Text& out, const Text& text, const Directive& directive, bool is_number) {
  const auto num_chars = static_cast<int>(count_chars(text.bytes()));
  const std::string padding(static_cast<std::size_t>(std::max(directive.width - num_chars, 0)), ' ');
  if (directive.is_left) {
    out.append(text);
    out.append(padding, false);
  } else if (directive.is_zero_filled && is_number) {
    const std::size_t sign = text.bytes().starts_with('-') ? 1 : 0;
    out.append(text, 0, sign);
    out.append(std::string(padding.size(), '0'), false);
    out.append(text, sign, text.size());
  } else {
    out.append(padding, false);
    out.append(text);
  }
}

// A time taken apart.
struct Calendar {
  explicit Calendar(std::int64_t time_s);

  std::int64_t time_s, hour, minute, second, year_day;
  int year;
  unsigned month, day, weekday;  // weekday 0 is Sunday
};

Calendar::Calendar(std::int64_t seconds) : time_s(seconds) {
  namespace chrono = std::chrono;
  const chrono::sys_seconds time{chrono::seconds(time_s)};
  const auto midnight = chrono::floor<chrono::days>(time);
  const chrono::year_month_day date(midnight);
  const chrono::hh_mm_ss<chrono::seconds> clock(time - midnight);
  hour = clock.hours().count();
  minute = clock.minutes().count();
  second = clock.seconds().count();
  year_day = (midnight - chrono::sys_days(date.year() / chrono::January / 1)).count() + 1;
  year = static_cast<int>(date.year());
  month = static_cast<unsigned>(date.month());
  day = static_cast<unsigned>(date.day());
  weekday = chrono::weekday(midnight).c_encoding();
}

constexpr std::string_view kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};

// What one directive of strftime writes; `is_bare` leaves out leading zeros.
std::string time_field(char kind, const Calendar& t, bool is_bare) {
  const auto number = [&](auto value, int width) {
    return fmt::format("{:0{}}", value, is_bare ? 1 : width);
  };
  // clang-format off
  switch (kind) {
    case 'a': return std::string(kDays[t.weekday].substr(0, 3));
    case 'A': return std::string(kDays[t.weekday]);
    case 'b':
    case 'h': return std::string(kMonths[t.month - 1].substr(0, 3));
    case 'B': return std::string(kMonths[t.month - 1]);
    case 'd': return number(t.day, 2);
    case 'e': return fmt::format("{:2}", t.day);
    case 'm': return number(t.month, 2);
    case 'Y': return number(t.year, 1);
    case 'y': return number(t.year % 100, 2);
    case 'H': return number(t.hour, 2);
    case 'I': return number(t.hour % 12 == 0 ? 12 : t.hour % 12, 2);
    case 'M': return number(t.minute, 2);
    case 'S': return number(t.second, 2);
    case 'f': return "000000";
    case 'p': return t.hour < 12 ? "AM" : "PM";
    case 'j': return number(t.year_day, 3);
    case 'w': return fmt::format("{}", t.weekday);
    case 'u': return fmt::format("{}", t.weekday == 0 ? 7 : t.weekday);
    case 's': return fmt::format("{}", t.time_s);
    case 'D': return fmt::format("{:02}/{:02}/{:02}", t.month, t.day, t.year % 100);
    case 'F': return fmt::format("{}-{:02}-{:02}", t.year, t.month, t.day);
    case 'R': return fmt::format("{:02}:{:02}", t.hour, t.minute);
    case 'T': return fmt::format("{:02}:{:02}:{:02}", t.hour, t.minute, t.second);
    case 'Z':
    case 'z': return "";  // the time has no zone
    case '%': return "%";
    default: throw_error(ErrorKind::kUnsupported, "strftime_now: %{} is not supported", kind);
  }
  // clang-format on
}

}  // namespace

Value format_percent(const Text& format, const Value& arguments, Budget& budget) {
  const std::string& bytes = format.bytes();
  const bool is_tuple = arguments.list() && arguments.list()->is_tuple;
  const std::vector<Value> values = is_tuple ? arguments.list()->items : std::vector<Value>{arguments};
  std::size_t next_value = 0;
  Text out;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t percent = std::min(bytes.find('%', at), bytes.size());
    out.append(format, at, percent);
    at = percent + 1;
    if (percent == bytes.size()) break;
    const Directive directive = read_directive(bytes, at);
    if (at >= bytes.size()) fail("a format that ends in the middle of a directive");
    const char kind = bytes[at++];
    if (kind == '%') {
      out.append("%", false);
      continue;
    }
    if (next_value >= values.size()) fail("a format needs more than {} values", values.size());
    append_padded(out, converted(kind, directive, values[next_value++], budget), directive,
                  kind != 's' && kind != 'r');
    budget.check_text_size(out.size());
  }
  const bool may_be_left = arguments.dict() || (arguments.list() && !is_tuple);  // what has elements by key
  if (!may_be_left && next_value < values.size())
    fail("a format uses {} of {} values", next_value, values.size());
  return make_text(std::move(out), budget);
}

std::string format_time(std::string_view format, std::int64_t time_s) {
  if (time_s < -62'000'000'000 || time_s > 250'000'000'000) {
    fail("strftime_now: {} s since 1970 is no time from year 6 to 9891", time_s);
  }
  const Calendar calendar(time_s);
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    const bool is_bare = format[i + 1] == '-' && i + 2 < format.size();
    i += is_bare ? 2 : 1;
    out += time_field(format[i], calendar, is_bare);
  }
  return out;
}

}  // namespace quire::jinja
