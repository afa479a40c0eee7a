#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <limits>
#include <optional>
#include <utility>

#include "base/check.h"
#include "text/json_field.h"
#include "text/pattern_syntax.h"
#include "text/utf8.h"

namespace quire {
namespace {

constexpr std::size_t kStepsPerByte = 256;
constexpr std::size_t kFreeSteps = 1'000'000;
constexpr std::uint32_t kMaxHeapKib =
    64 * 1024;  // of the interpreter, which takes over where the JIT's stack ends
constexpr std::size_t kMaxPatternBytes = 16 * 1024;

struct StepCounter {
  std::size_t& num_steps_left;
  std::size_t& last_offset;
};

// PCRE2 calls this before every element of the pattern. Scanning and backtracking both show as movement.
int count_step(pcre2_callout_block* block, void* data) {
  auto& counter = *static_cast<StepCounter*>(data);
  const std::size_t offset = block->current_position;
  const std::size_t moved =
      offset > counter.last_offset ? offset - counter.last_offset : counter.last_offset - offset;
  counter.last_offset = offset;
  if (moved >= counter.num_steps_left) return PCRE2_ERROR_CALLOUT;
  counter.num_steps_left -= moved + 1;
  return 0;
}

std::string pcre2_message(int error) {
  char text[256] = {};
  pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(text), sizeof(text));
  return text;
}

}  // namespace

void RegexScratch::Deleter::operator()(pcre2_real_match_data_8* p) const { pcre2_match_data_free(p); }
void RegexScratch::Deleter::operator()(pcre2_real_match_context_8* p) const { pcre2_match_context_free(p); }
void Regex::Deleter::operator()(pcre2_real_code_8* p) const { pcre2_code_free(p); }

RegexScratch::RegexScratch(std::size_t text_bytes)
    : match_data_(pcre2_match_data_create(1, nullptr)), match_context_(pcre2_match_context_create(nullptr)) {
  QUIRE_CHECK_KIND(kExhausted, match_data_ && match_context_, "no memory for matching regular expressions");
  pcre2_set_heap_limit(match_context_.get(), kMaxHeapKib);
  // The budget decides, and it grows with the text; PCRE2's own count of backtracks does not.
  pcre2_set_match_limit(match_context_.get(), std::numeric_limits<std::uint32_t>::max());
  refill(text_bytes);
}

void RegexScratch::refill(std::size_t text_bytes) {
  num_steps_left_ = text_bytes * kStepsPerByte + kFreeSteps;
}

void RegexScratch::charge(std::size_t num_steps) {
  QUIRE_CHECK_KIND(kExhausted, num_steps <= num_steps_left_,
                   "this tokenizer takes more than {} steps a byte on this text", kStepsPerByte);
  num_steps_left_ -= num_steps;
}

Regex Regex::from_pattern(std::string_view pattern, const std::string& where) {
  QUIRE_CHECK_KIND(kUnsupported, pattern.size() <= kMaxPatternBytes, "{}: a pattern of {} bytes; at most {}",
                   where, pattern.size(), kMaxPatternBytes);
  return Regex(to_byte_pattern(pattern, where), where);
}

Regex Regex::from_literal(std::string_view text, const std::string& where) {
  QUIRE_CHECK_KIND(kUnsupported, text.size() <= kMaxPatternBytes / 8, "{}: a pattern of {} bytes; at most {}",
                   where, text.size(), kMaxPatternBytes / 8);
  return Regex(to_literal_pattern(text, where), where);
}

Regex Regex::from_json(const JsonField& field) {
  if (field.as_object().size() == 1) {
    if (const auto text = field.find("String")) return from_literal(text->as_string(), text->where());
    if (const auto pattern = field.find("Regex")) return from_pattern(pattern->as_string(), pattern->where());
  }
  field.corrupt("must hold one of \"String\" and \"Regex\"");
}

Regex::Regex(BytePattern pattern, const std::string& where) : classes_(std::move(pattern.classes)) {
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  QUIRE_CHECK_KIND(kExhausted, context != nullptr, "{}: no memory for compiling a pattern", where);
  pcre2_set_newline(context.get(),
                    PCRE2_NEWLINE_LF);  // what . ^ and $ mean must not depend on how PCRE2 was built
  constexpr std::uint32_t kOptions = PCRE2_MULTILINE | PCRE2_AUTO_CALLOUT;
  int error = 0;
  std::size_t error_offset = 0;
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.pcre2.data()), pattern.pcre2.size(),
                            kOptions, &error, &error_offset, context.get()));
  QUIRE_CHECK_KIND(kUnsupported, code_ != nullptr, "{}: cannot compile the pattern: {}", where,
                   pcre2_message(error));
  // Where executable memory is forbidden this fails and the interpreter runs instead, with the same results.
  pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
}

namespace {

// From places in classes to places in the text, in ascending order.
class ByteOffsets {
 public:
  // `is_same`: every character has one byte.
  ByteOffsets(std::string_view text, bool is_same) : text_(text), is_same_(is_same) {}

  std::size_t of(std::size_t char_idx) {
    if (is_same_) return char_idx;
    for (; char_idx_ < char_idx; ++char_idx_) at_ += decode_utf8(text_, at_).num_bytes;
    return at_;
  }

 private:
  std::string_view text_;
  bool is_same_;
  std::size_t char_idx_ = 0, at_ = 0;
};

}  // namespace

void Regex::find_all(std::string_view text, RegexScratch& scratch, std::vector<Span>& matches) const {
  StepCounter counter{scratch.num_steps_left_, scratch.last_offset_};
  pcre2_set_callout(scratch.match_context_.get(), &count_step, &counter);
  classes_.map(text, scratch.classes_);
  const std::string_view classes = scratch.classes_;
  ByteOffsets offsets(text, classes.size() == text.size());
  const auto subject = reinterpret_cast<PCRE2_SPTR>(classes.data());
  const auto match_at = [&](std::size_t begin, std::uint32_t options) {
    scratch.last_offset_ = begin;
    return pcre2_match(code_.get(), subject, classes.size(), begin, options, scratch.match_data_.get(),
                       scratch.match_context_.get());
  };
  std::optional<std::size_t> last_end;
  for (std::size_t at = 0; at <= classes.size();) {
    scratch.charge(1);
    int status = match_at(at, 0);
    if (status == PCRE2_ERROR_JIT_STACKLIMIT) status = match_at(at, PCRE2_NO_JIT);
    if (status == PCRE2_ERROR_NOMATCH) return;
    // Clients read this: no path of the file that the pattern is from.
    QUIRE_CHECK_KIND(kExhausted, status >= 0,
                     "a pattern of this tokenizer takes too much work on this text ({})",
                     pcre2_message(status));
    const std::size_t* bounds = pcre2_get_ovector_pointer(scratch.match_data_.get());
    const std::size_t begin = bounds[0], end = bounds[1];
    if (begin == end && last_end == end) {
      ++at;
      continue;
    }
    const std::size_t first = offsets.of(begin);  // before the end: offsets only go on
    matches.push_back({first, offsets.of(end)});
    last_end = at = end;
  }
}

}  // namespace quire
