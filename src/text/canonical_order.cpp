#include "text/canonical_order.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "text/utf8.h"

namespace quire {
namespace {

constexpr std::size_t kLongRun = 64;  // characters; shorter runs are left to ICU

struct Mark {
  char32_t code_point;
  std::uint8_t combining_class;
  std::size_t position;  // marks of one class keep their order
};

// The Tibetan vowel signs with class 0 that stand for two marks each. No normal form keeps them.
constexpr char32_t kTibetanFirst = 0xF71;
constexpr char32_t second_of_tibetan_pair(char32_t c) {
  return c == 0xF73 ? 0xF72 : c == 0xF75 ? 0xF74 : c == 0xF81 ? 0xF80 : 0;
}

void add_marks(char32_t c, std::vector<Mark>& run) {
  const auto add = [&run](char32_t mark) {
    run.push_back({mark, u_getCombiningClass(static_cast<UChar32>(mark)), run.size()});
  };
  if (const char32_t second = second_of_tibetan_pair(c)) {
    add(kTibetanFirst);
    add(second);
  } else {
    add(c);
  }
}

bool is_combining(char32_t c) {
  return c >= 0x300 && (u_getCombiningClass(static_cast<UChar32>(c)) != 0 || second_of_tibetan_pair(c) != 0);
}

void append_run(std::string& out, std::string_view source, std::vector<Mark>& run) {
  if (run.size() <= kLongRun) {
    out += source;
  } else {
    std::sort(run.begin(), run.end(), [](const Mark& a, const Mark& b) {
      return a.combining_class != b.combining_class ? a.combining_class < b.combining_class
                                                    : a.position < b.position;
    });
    for (const Mark& mark : run) append_utf8(out, mark.code_point);
  }
  run.clear();
}

}  // namespace

void order_long_mark_runs(std::string& text) {
  std::string out;
  std::vector<Mark> run;
  std::size_t run_begin = 0;
  bool has_long_run = false;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text, at);
    if (is_combining(c.code_point)) {
      if (run.empty()) run_begin = at;
      add_marks(c.code_point, run);
      has_long_run |= run.size() > kLongRun;
    } else {
      append_run(out, std::string_view(text).substr(run_begin, at - run_begin), run);
      out.append(text, at, c.num_bytes);
      run_begin = at + c.num_bytes;
    }
    at += c.num_bytes;
  }
  append_run(out, std::string_view(text).substr(run_begin), run);
  if (has_long_run) text = std::move(out);
}

}  // namespace quire
