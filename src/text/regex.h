// Regular expressions of tokenizer files, run by PCRE2's JIT under a budget: a hostile pattern costs an
// Error, never a hang. The budget counts what the matcher does (elements tried and characters passed over),
// so the same input always ends the same way, on any machine.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/char_classes.h"

struct pcre2_real_code_8;
struct pcre2_real_match_data_8;
struct pcre2_real_match_context_8;

namespace quire {

class JsonField;
struct BytePattern;

// Bytes [begin, end) of a text.
struct Span {
  std::size_t begin;
  std::size_t end;
};

// The work that one call may still do, and PCRE2's memory for it. One per call: not shared between threads.
class RegexScratch {
 public:
  // Ordinary patterns take 3 to 20 steps a byte; a text of `text_bytes` may take 256 a byte and a million
  // besides.
  explicit RegexScratch(std::size_t text_bytes);
  void refill(std::size_t text_bytes);

  // Throws Error{kExhausted} when the budget is used up. One step is about 10 ns.
  void charge(std::size_t num_steps);

 private:
  friend class Regex;
  struct Deleter {
    void operator()(pcre2_real_match_data_8* p) const;
    void operator()(pcre2_real_match_context_8* p) const;
  };

  std::size_t num_steps_left_ = 0;
  std::size_t last_offset_ = 0;  // where the matcher stood at its last step
  std::string classes_;          // the text as the matcher sees it
  std::unique_ptr<pcre2_real_match_data_8, Deleter> match_data_;
  std::unique_ptr<pcre2_real_match_context_8, Deleter> match_context_;
};

class Regex {
 public:
  // From an Oniguruma pattern (see pattern_syntax.h), or from text that stands for itself. `where` (file and
  // field) starts every message.
  static Regex from_pattern(std::string_view pattern, const std::string& where);
  static Regex from_literal(std::string_view text, const std::string& where);
  // From {"String": text} or {"Regex": pattern}.
  static Regex from_json(const JsonField& field);

  // Appends the matches in `text` (valid UTF-8) from left to right, none overlapping. An empty match right
  // after a match does not count. Throws Error{kExhausted} when the scratch's budget is used up.
  void find_all(std::string_view text, RegexScratch& scratch, std::vector<Span>& matches) const;

 private:
  struct Deleter {
    void operator()(pcre2_real_code_8* p) const;
  };

  Regex(BytePattern pattern, const std::string& where);

  CharClasses classes_;
  std::unique_ptr<pcre2_real_code_8, Deleter> code_;
};

}  // namespace quire
