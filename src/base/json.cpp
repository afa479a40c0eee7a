#include "base/json.h"

#include <algorithm>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/check.h"

namespace quire {
namespace {

// What is wrong, out of the parser's message: "[json.exception.parse_error.101] parse error at line 1, column
// 9: ...
// - invalid literal; last read: '1 /'; expected '}'". What was read last is the document's, of any length.
std::string reason_of(std::string_view message) {
  constexpr std::size_t kMaxReasonBytes = 200, kMaxExpectedBytes = 60;
  constexpr std::string_view kExpected = "; expected ";
  if (message.starts_with('[')) message.remove_prefix(std::min(message.find("] ") + 2, message.size()));
  const std::size_t read = message.find("; last read: ");
  std::string reason(message.substr(0, std::min(read, kMaxReasonBytes)));
  const std::size_t expected = message.rfind(kExpected);
  if (read != message.npos && expected != message.npos && message.size() - expected <= kMaxExpectedBytes)
    reason += message.substr(expected);
  return reason;
}

// Passes the parser's events on to the one that builds the value, and checks the limits on the way.
// nlohmann's own parser callbacks would do for that, but they walk over all earlier siblings at the end of
// each object: an object of 100,000 objects takes minutes.
class LimitedBuilder : public nlohmann::json_sax<Json> {
 public:
  LimitedBuilder(Json& root, const std::string& origin, const JsonLimits& limits)
      : builder_(root), origin_(origin), limits_(limits) {}

  bool null() override { return count() && builder_.null(); }
  bool boolean(bool value) override { return count() && builder_.boolean(value); }
  bool number_integer(number_integer_t value) override { return count() && builder_.number_integer(value); }
  bool number_unsigned(number_unsigned_t value) override {
    return count() && builder_.number_unsigned(value);
  }
  bool number_float(number_float_t value, const string_t& text) override {
    return count() && builder_.number_float(value, text);
  }
  bool string(string_t& value) override { return count() && builder_.string(value); }
  bool binary(binary_t& value) override { return count() && builder_.binary(value); }

  bool start_object(std::size_t num_members) override {
    enter();
    keys_.emplace_back();
    return builder_.start_object(num_members);
  }
  bool key(string_t& name) override {
    QUIRE_CHECK_KIND(kCorruptFile, !limits_.reject_duplicate_keys || keys_.back().insert(name).second,
                     "{}: JSON key \"{}\" appears twice", origin_, name.substr(0, 80));
    return builder_.key(name);
  }
  bool end_object() override {
    --depth_;
    keys_.pop_back();
    return builder_.end_object();
  }
  bool start_array(std::size_t num_members) override {
    enter();
    return builder_.start_array(num_members);
  }
  bool end_array() override {
    --depth_;
    return builder_.end_array();
  }
  bool parse_error(std::size_t position, const std::string& token, const Json::exception& error) override {
    throw_error(ErrorKind::kCorruptFile, "{}: {} (byte {}, \"{}\")", origin_, reason_of(error.what()),
                position, token.substr(0, 40));
  }

 private:
  bool count() {
    QUIRE_CHECK_KIND(kCorruptFile, ++num_values_ <= limits_.max_values, "{}: JSON holds more than {} values",
                     origin_, limits_.max_values);
    return true;
  }
  void enter() {
    count();
    QUIRE_CHECK_KIND(kCorruptFile, depth_++ < limits_.max_depth, "{}: JSON nests deeper than {} levels",
                     origin_, limits_.max_depth);
  }

  nlohmann::detail::json_sax_dom_parser<Json> builder_;
  const std::string& origin_;
  const JsonLimits& limits_;
  int depth_ = 0;
  std::size_t num_values_ = 0;
  std::vector<std::unordered_set<std::string>> keys_;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& origin, const JsonLimits& limits) {
  QUIRE_CHECK_KIND(kCorruptFile, text.size() <= limits.max_bytes, "{}: JSON of {} bytes, at most {} are read",
                   origin, text.size(), limits.max_bytes);
  // The parser takes a zero byte for the end of its input; what follows would be hidden from every check.
  const std::size_t zero = text.find('\0');
  QUIRE_CHECK_KIND(kCorruptFile, zero == std::string_view::npos, "{}: zero byte at {} in JSON", origin, zero);
  Json root;
  LimitedBuilder builder(root, origin, limits);
  try {
    Json::sax_parse(text.begin(), text.end(), &builder);
  } catch (...) {
    dismantle(root);
    throw;
  }
  return root;
}

}  // namespace quire
