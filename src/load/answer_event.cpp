#include "load/answer_event.h"

#include <vector>

#include "base/check.h"
#include "base/json.h"

namespace quire {
namespace {

// Called by the parser for each value. `path_` holds the keys from the root to the present value, "[]" for an
// array.
class EventReader final : public nlohmann::json_sax<Json> {
 public:
  explicit EventReader(AnswerEvent& event) : event_(event) {}

  bool null() override { return is_object_; }
  bool boolean(bool) override { return is_object_; }
  bool number_integer(number_integer_t value) override { return take_number(value); }
  bool number_unsigned(number_unsigned_t value) override {
    return take_number(static_cast<std::int64_t>(value));
  }
  bool number_float(number_float_t, const string_t&) override { return is_object_; }
  bool binary(binary_t&) override { return false; }

  bool string(string_t& value) override {
    if (at({"error", "message"}) || at({"error"})) {
      event_.error = value.empty() ? "an error without words" : value;
    } else if (path_.size() >= 3 && path_[0] == "choices" && path_[1] == "[]") {
      take_choice_text(value);
    }
    return is_object_;
  }

  bool start_object(std::size_t) override {
    is_object_ = true;
    path_.emplace_back();
    return path_.size() <= kMaxDepth;
  }
  bool key(string_t& name) override {
    path_.back() = name;
    return true;
  }
  bool end_object() override { return end_level(); }
  bool start_array(std::size_t) override {
    path_.emplace_back("[]");
    return is_object_ && path_.size() <= kMaxDepth;
  }
  bool end_array() override { return end_level(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override {
    return false;
  }

 private:
  static constexpr std::size_t kMaxDepth = 64;

  bool at(std::initializer_list<std::string_view> path) const {
    return std::equal(path_.begin(), path_.end(), path.begin(), path.end());
  }

  bool end_level() {
    path_.pop_back();
    return true;
  }

  bool take_number(std::int64_t value) {
    if (at({"usage", "prompt_tokens"})) event_.prompt_len = value;
    if (at({"usage", "completion_tokens"})) event_.output_len = value;
    if (at({"usage", "prompt_tokens_details", "cached_tokens"})) event_.cached_len = value;
    return is_object_;
  }

  void take_choice_text(const std::string& value) {
    const std::string& name = path_.back();
    const bool is_delta = path_.size() == 4 && (path_[2] == "delta" || path_[2] == "message");
    if (path_.size() == 3 && name == "finish_reason") event_.is_finished = true;
    if ((path_.size() == 3 && name == "text") ||
        (is_delta && (name == "content" || name == "reasoning_content" || name == "reasoning")))
      event_.text += value;
  }

  AnswerEvent& event_;
  std::vector<std::string> path_;
  bool is_object_ = false;
};

}  // namespace

AnswerEvent parse_answer_event(std::string_view json) {
  AnswerEvent event;
  EventReader reader(event);
  const bool is_good = Json::sax_parse(json.begin(), json.end(), &reader);
  QUIRE_CHECK_KIND(kCorruptFile, is_good, "an event is not a JSON object: {}", json.substr(0, 80));
  return event;
}

}  // namespace quire
