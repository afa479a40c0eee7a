#include "text/added_tokens.h"

#include <algorithm>

#include "base/check.h"
#include "text/unicode.h"

namespace quire {
namespace {

AddedToken read_token(const JsonField& field) {
  AddedToken token;
  token.id = static_cast<std::int32_t>(field.at("id").as_int(0, kMaxTokenId));
  token.content = field.at("content").as_string();
  token.single_word = field.at("single_word").as_bool();
  token.lstrip = field.at("lstrip").as_bool();
  token.rstrip = field.at("rstrip").as_bool();
  token.normalized = field.at("normalized").as_bool();
  token.special = field.at("special").as_bool();
  if (token.content.empty()) field.at("content").corrupt("must not be empty");
  return token;
}

bool touches_word(std::string_view text, Span span) {
  const bool before =
      span.begin > 0 && is_word_char(decode_utf8(text, previous_utf8(text, span.begin)).code_point);
  const bool after = span.end < text.size() && is_word_char(decode_utf8(text, span.end).code_point);
  return before || after;
}

}  // namespace

void NeedleSet::add(const std::string& needle, std::size_t value) {
  if (!needle.empty()) needles_.push_back({needle, value});
}

void NeedleSet::prepare() {
  const auto by_text = [](const Needle& a, const Needle& b) {
    return a.text != b.text ? a.text < b.text : a.value < b.value;
  };
  const auto same_text = [](const Needle& a, const Needle& b) { return a.text == b.text; };
  std::sort(needles_.begin(), needles_.end(), by_text);
  needles_.erase(std::unique(needles_.begin(), needles_.end(), same_text), needles_.end());
  first_byte_ = {};
  for (const Needle& needle : needles_) ++first_byte_[static_cast<unsigned char>(needle.text[0]) + 1];
  for (std::size_t byte = 0; byte < 256; ++byte) first_byte_[byte + 1] += first_byte_[byte];
}

std::optional<NeedleSet::Match> NeedleSet::find(std::string_view text, std::size_t begin,
                                                RegexScratch& scratch) const {
  for (std::size_t at = begin; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    auto low = needles_.begin() + first_byte_[byte];
    auto high = needles_.begin() + first_byte_[byte + 1];
    // The candidates share `depth` bytes with the text; a needle that ends there sorts before the longer
    // ones.
    const Needle* longest = nullptr;
    std::size_t depth = 1;
    for (; low != high; ++depth) {
      if (low->text.size() == depth) longest = &*low++;
      if (at + depth >= text.size()) break;
      const auto next = static_cast<unsigned char>(text[at + depth]);
      const auto byte_at = [depth](const Needle& needle) {
        return static_cast<unsigned char>(needle.text[depth]);
      };
      low = std::partition_point(low, high, [&](const Needle& needle) { return byte_at(needle) < next; });
      high = std::partition_point(low, high, [&](const Needle& needle) { return byte_at(needle) == next; });
    }
    scratch.charge(depth - 1);
    if (longest != nullptr) return Match{{at, at + longest->text.size()}, longest->value};
  }
  return std::nullopt;
}

AddedTokens AddedTokens::from_json(const JsonField& field, const Vocabulary& model_vocabulary) {
  AddedTokens added;
  for (std::size_t i = 0; i < field.num_elements(); ++i) {
    const JsonField entry = field.element(i);
    AddedToken token = read_token(entry);
    const auto model_id = model_vocabulary.find(token.content);
    const auto owner = model_vocabulary.token(token.id);
    if (model_id && *model_id != token.id) {
      entry.at("id").corrupt(
          fmt::format("the model gives \"{}\" the id {}", shorten(token.content, 80), *model_id));
    }
    if (!model_id && owner) {
      entry.at("id").corrupt(fmt::format("the model gives this id to \"{}\"", shorten(*owner, 80)));
    }
    if (!added.by_id_.emplace(token.id, i).second) entry.at("id").corrupt("this id is added twice");
    if (!added.by_content_.emplace(token.content, i).second)
      entry.at("content").corrupt("this token is added twice");
    added.end_id_ = std::max(added.end_id_, token.id + 1);
    added.tokens_.push_back(std::move(token));
  }
  return added;
}

void AddedTokens::prepare(const Normalizers& normalizers) {
  normal_forms_.resize(tokens_.size());
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken& token = tokens_[i];
    if (!token.normalized) {
      plain_needles_.add(token.content, i);
      continue;
    }
    NormalizedText form{token.content};
    RegexScratch scratch(token.content.size());
    for (const auto& normalizer : normalizers) normalizer->apply(form, scratch);
    normalized_needles_.add(form.text, i);
    normal_forms_[i] = std::move(form.text);
  }
  plain_needles_.prepare();
  normalized_needles_.prepare();
}

const AddedToken* AddedTokens::find(std::int32_t id) const {
  const auto entry = by_id_.find(id);
  return entry == by_id_.end() ? nullptr : &tokens_[entry->second];
}

std::optional<std::int32_t> AddedTokens::find(std::string_view content) const {
  const auto entry = by_content_.find(content);
  if (entry == by_content_.end()) return std::nullopt;
  return tokens_[entry->second].id;
}

bool AddedTokens::is_special(std::int32_t id) const {
  const AddedToken* token = find(id);
  return token != nullptr && token->special;
}

std::vector<std::int32_t> AddedTokens::ids() const {
  std::vector<std::int32_t> ids;
  for (const AddedToken& token : tokens_) ids.push_back(token.id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::vector<std::int32_t> AddedTokens::written_in(std::string_view text) const {
  std::vector<std::int32_t> ids;
  for (const AddedToken& token : tokens_) {
    if (text.find(token.content) != std::string_view::npos) ids.push_back(token.id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::string_view AddedTokens::decoded_form(const AddedToken& token) const {
  if (!token.normalized) return token.content;
  return normal_forms_[by_id_.at(token.id)];
}

template <class Accept>
std::vector<TextPart> AddedTokens::cut(std::string_view text, const NeedleSet& needles, RegexScratch& scratch,
                                       Accept accept) const {
  std::vector<TextPart> parts;
  std::size_t plain_begin = 0;
  std::size_t at = 0;
  while (const auto match = needles.empty() ? std::nullopt : needles.find(text, at, scratch)) {
    const AddedToken& token = tokens_[match->value];
    Span span = match->span;
    at = span.end;
    if (!accept(token, span)) continue;
    if (token.single_word && touches_word(text, span)) continue;
    // White space that an earlier token has swallowed is still searched, but never belongs to plain text
    // again.
    if (token.lstrip)
      span.begin = std::min(span.begin, skip_back_while(text, plain_begin, span.begin, is_whitespace));
    if (token.rstrip) span.end = skip_while(text, span.end, is_whitespace);
    scratch.charge(span.end - span.begin);
    if (plain_begin < span.begin) parts.push_back({{plain_begin, span.begin}, std::nullopt});
    parts.push_back({span, token.id});
    plain_begin = span.end;
  }
  if (plain_begin < text.size()) parts.push_back({{plain_begin, text.size()}, std::nullopt});
  return parts;
}

std::vector<TextPart> AddedTokens::split(std::string_view text, bool normalized, bool parse_special,
                                         RegexScratch& scratch) const {
  return cut(text, normalized ? normalized_needles_ : plain_needles_, scratch,
             [&](const AddedToken& token, Span) { return parse_special || !token.special; });
}

namespace {

bool is_control(const AddedToken& token, std::span<const std::int32_t> control_ids) {
  return token.special || std::binary_search(control_ids.begin(), control_ids.end(), token.id);
}

}  // namespace

std::vector<TextPart> AddedTokens::split_prompt(std::string_view text, std::span<const Span> literals,
                                                std::span<const std::int32_t> control_ids,
                                                RegexScratch& scratch) const {
  auto literal = literals.begin();  // the first that ends behind the match; matches come in order
  return cut(text, plain_needles_, scratch, [&](const AddedToken& token, Span span) {
    if (!is_control(token, control_ids)) return true;
    while (literal != literals.end() && literal->end <= span.begin) ++literal;
    return literal == literals.end() || literal->begin >= span.end;
  });
}

std::vector<TextPart> AddedTokens::split_normalized_prompt(const NormalizedText& text,
                                                           std::span<const std::int32_t> control_ids,
                                                           RegexScratch& scratch) const {
  return cut(text.text, normalized_needles_, scratch, [&](const AddedToken& token, Span span) {
    return !is_control(token, control_ids) || !text.is_marked(span.begin, span.end);
  });
}

}  // namespace quire
