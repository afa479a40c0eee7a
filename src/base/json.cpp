#include "base/json.h"

#include <unordered_set>
#include <vector>

#include "base/check.h"

namespace quire {
namespace {

// Checks the limits in nlohmann's parser callback; the parser itself keeps no recursion and validates UTF-8.
class LimitGuard {
 public:
  LimitGuard(const std::string& origin, const JsonLimits& limits) : origin_(origin), limits_(limits) {}

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    QUIRE_CHECK_KIND(kCorruptFile, depth <= limits_.max_depth, "{}: JSON nests deeper than {} levels", origin_,
                     limits_.max_depth);
    if (event == Event::value || event == Event::object_start || event == Event::array_start) {
      QUIRE_CHECK_KIND(kCorruptFile, ++num_values_ <= limits_.max_values, "{}: JSON holds more than {} values",
                       origin_, limits_.max_values);
    }
    if (!limits_.reject_duplicate_keys) return true;
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      QUIRE_CHECK_KIND(kCorruptFile, keys_.back().insert(key).second, "{}: JSON key \"{}\" appears twice", origin_,
                       key.substr(0, 80));
    }
    return true;
  }

 private:
  const std::string& origin_;
  const JsonLimits& limits_;
  std::size_t num_values_ = 0;
  std::vector<std::unordered_set<std::string>> keys_;
};

}  // namespace

Json parse_json(std::string_view text, const std::string& origin, const JsonLimits& limits) {
  QUIRE_CHECK_KIND(kCorruptFile, text.size() <= limits.max_bytes, "{}: JSON of {} bytes, at most {} are read", origin,
                   text.size(), limits.max_bytes);
  try {
    LimitGuard guard(origin, limits);
    return Json::parse(text.begin(), text.end(), [&guard](int depth, Json::parse_event_t event, Json& parsed) {
      return guard(depth, event, parsed);
    });
  } catch (const nlohmann::json::exception& e) {
    throw_error(ErrorKind::kCorruptFile, "{}: {}", origin, e.what());
  }
}

}  // namespace quire
