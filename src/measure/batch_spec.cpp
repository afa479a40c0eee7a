#include "measure/batch_spec.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/check.h"

namespace quire {
namespace {

constexpr int kMaxLen = 1 << 24, kMaxCount = 1 << 16;

// Reads one segment from left to right; every complaint shows the whole spec.
class Reader {
 public:
  Reader(std::string_view spec, std::string_view segment) : spec_(spec), segment_(segment), rest_(segment) {}

  bool take(char letter) {
    if (rest_.empty() || rest_.front() != letter) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // A number from 1 to `max`, or nothing if there is no digit here.
  std::optional<int> take_number(int max, const char* what) {
    int value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error == std::errc::invalid_argument || rest_.starts_with('-')) return std::nullopt;
    check(error == std::errc() && value >= 1 && value <= max, fmt::format("{} must be 1 to {}", what, max));
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }

  int take_len(const char* what) {
    const std::optional<int> len = take_number(kMaxLen, what);
    check(len.has_value(), fmt::format("{} needs a number", what));
    const int unit = take('k') ? 1024 : 1;
    check(*len <= kMaxLen / unit, fmt::format("{} must be at most {}k", what, kMaxLen / 1024));
    return *len * unit;
  }

  void check(bool condition, const std::string& complaint) const {
    QUIRE_CHECK(condition,
                "batch spec \"{}\": {} in \"{}\"; the form is [count]q<len>[k][s<len>[k]], joined by _, e.g. "
                "2q2k_8q1s1k",
                spec_, complaint, segment_);
  }

  bool is_done() const { return rest_.empty(); }
  std::string rest() const { return std::string(rest_); }

 private:
  std::string_view spec_, segment_, rest_;
};

void read_segment(std::string_view spec, std::string_view segment, BatchSpec& batch) {
  Reader reader(spec, segment);
  const int count = reader.take_number(kMaxCount, "the count").value_or(1);
  reader.check(reader.take('q'), "no q");
  const int query_len = reader.take_len("q");
  const int kv_len = reader.take('s') ? reader.take_len("s") : query_len;
  reader.check(reader.is_done(), fmt::format("\"{}\" is too much", reader.rest()));
  reader.check(kv_len >= query_len, fmt::format("s ({}) is less than q ({})", kv_len, query_len));
  reader.check(batch.query_len.size() + static_cast<std::size_t>(count) <= kMaxCount,
               fmt::format("more than {} requests", kMaxCount));
  batch.query_len.insert(batch.query_len.end(), static_cast<std::size_t>(count), query_len);
  batch.kv_len.insert(batch.kv_len.end(), static_cast<std::size_t>(count), kv_len);
}

}  // namespace

BatchSpec parse_batch_spec(std::string_view text) {
  BatchSpec batch;
  batch.name = std::string(text);
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('_', begin), text.size());
    read_segment(text, text.substr(begin, end - begin), batch);
    begin = end + 1;
  }
  return batch;
}

}  // namespace quire
