// Added tokens of tokenizer.json: text that becomes one token before the model sees it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/json_field.h"
#include "text/normalizer.h"
#include "text/regex.h"
#include "text/vocabulary.h"

namespace quire {

struct AddedToken {
  std::int32_t id;
  std::string content;
  bool single_word;  // only where no word character touches it
  bool lstrip;       // swallows the white space before it
  bool rstrip;       // and after it
  bool normalized;   // looked for after normalisation, in its normalised form
  bool
      special;  // a control token: never made from text unless asked, and left out of decoded text on request
};

// A part of a text: plain (no id), or one token.
struct TextPart {
  Span span;
  std::optional<std::int32_t> id;
};

// Finds the longest of many needles at each place, from left to right.
class NeedleSet {
 public:
  struct Match {
    Span span;
    std::size_t value;
  };

  // Empty needles and repeats are left out.
  void add(const std::string& needle, std::size_t value);
  void prepare();  // after the last add
  bool empty() const { return needles_.empty(); }

  // The leftmost match that begins at `begin` or later, and of those at that place the longest.
  std::optional<Match> find(std::string_view text, std::size_t begin, RegexScratch& scratch) const;

 private:
  struct Needle {
    std::string text;
    std::size_t value;
  };
  std::vector<Needle> needles_;  // sorted by text
  std::array<std::uint32_t, 257>
      first_byte_{};  // needles that begin with byte b: [first_byte_[b], first_byte_[b + 1])
};

class AddedTokens {
 public:
  AddedTokens() = default;

  // From the "added_tokens" array. A token that the model also has must have the same id there.
  static AddedTokens from_json(const JsonField& field, const Vocabulary& model_vocabulary);

  // Makes the searches ready; `normalizers` are those of the tokenizer.
  void prepare(const Normalizers& normalizers);

  const AddedToken* find(std::int32_t id) const;
  std::optional<std::int32_t> find(std::string_view content) const;
  bool is_special(std::int32_t id) const;
  int end_id() const { return end_id_; }  // highest id + 1

  std::vector<std::int32_t> ids() const;  // of all tokens, sorted

  // Ids of the tokens that `text` contains as they are written, sorted.
  std::vector<std::int32_t> written_in(std::string_view text) const;

  // The text that decoders receive for an added token.
  std::string_view decoded_form(const AddedToken& token) const;

  // Cuts `text` at the tokens to be found before (`normalized` false) or after normalisation. Special tokens
  // are passed over, as the plain text that they are, unless `parse_special`.
  std::vector<TextPart> split(std::string_view text, bool normalized, bool parse_special,
                              RegexScratch& scratch) const;

  // The same for a prompt, before and after normalisation. Control tokens are the special ones and those of
  // `control_ids` (sorted); they are found only where they do not touch the literals, which are ranges of
  // bytes (sorted, disjoint) before normalisation and bytes that are marked after it.
  std::vector<TextPart> split_prompt(std::string_view text, std::span<const Span> literals,
                                     std::span<const std::int32_t> control_ids, RegexScratch& scratch) const;
  std::vector<TextPart> split_normalized_prompt(const NormalizedText& text,
                                                std::span<const std::int32_t> control_ids,
                                                RegexScratch& scratch) const;

 private:
  // Cuts `text` at the needles that `accept(token, span)` accepts.
  template <class Accept>
  std::vector<TextPart> cut(std::string_view text, const NeedleSet& needles, RegexScratch& scratch,
                            Accept accept) const;

  std::vector<AddedToken> tokens_;
  std::vector<std::string> normal_forms_;  // of tokens_, for those with `normalized`
  std::unordered_map<std::int32_t, std::size_t> by_id_;
  std::unordered_map<std::string, std::size_t, TextHash, std::equal_to<>> by_content_;
  NeedleSet plain_needles_;
  NeedleSet normalized_needles_;
  int end_id_ = 0;
};

}  // namespace quire
