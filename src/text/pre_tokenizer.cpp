#include "text/pre_tokenizer.h"

#include "base/check.h"
#include "text/byte_alphabet.h"
#include "text/split_behavior.h"
#include "text/unicode.h"

namespace quire {
namespace {

constexpr std::size_t kMaxPreTokenizers = 64;
constexpr std::string_view kWordPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

std::string_view slice(const std::string& text, Span span) {
  return std::string_view(text).substr(span.begin, span.end - span.begin);
}

// Finds delimiters in each piece with `find(piece_text, delimiters)` and splits there.
template <class Find>
void split_pieces(SplitText& split, SplitBehavior behavior, bool invert, Find find) {
  std::vector<Span> pieces;
  std::vector<Span> delimiters;
  for (const Span& piece : split.pieces) {
    delimiters.clear();
    find(slice(split.text, piece), delimiters);
    for (Span& delimiter : delimiters)
      delimiter = {delimiter.begin + piece.begin, delimiter.end + piece.begin};
    split_at(piece, delimiters, behavior, invert, pieces);
  }
  split.pieces = std::move(pieces);
}

class Split : public PreTokenizer {
 public:
  Split(Regex pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void apply(SplitText& split, RegexScratch& scratch) const override {
    split_pieces(split, behavior_, invert_, [&](std::string_view text, std::vector<Span>& delimiters) {
      pattern_.find_all(text, scratch, delimiters);
    });
  }

 private:
  Regex pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

// Every character with a property is a delimiter of its own.
class CharSplit : public PreTokenizer {
 public:
  CharSplit(bool (*is_delimiter)(char32_t), SplitBehavior behavior)
      : is_delimiter_(is_delimiter), behavior_(behavior) {}

  void apply(SplitText& split, RegexScratch&) const override {
    split_pieces(split, behavior_, false, [&](std::string_view text, std::vector<Span>& delimiters) {
      for (std::size_t at = 0; at < text.size();) {
        const Utf8Char c = decode_utf8(text, at);
        if (is_delimiter_(c.code_point)) delimiters.push_back({at, at + c.num_bytes});
        at += c.num_bytes;
      }
    });
  }

 private:
  bool (*is_delimiter_)(char32_t);
  SplitBehavior behavior_;
};

// Words, and runs of what is neither word nor space; spaces are dropped.
class Whitespace : public PreTokenizer {
 public:
  void apply(SplitText& split, RegexScratch&) const override {
    const auto is_other = [](char32_t c) { return !is_word_char(c) && !is_whitespace(c); };
    split_pieces(split, SplitBehavior::kRemoved, true, [&](std::string_view text, std::vector<Span>& words) {
      for (std::size_t at = 0; at < text.size();) {
        std::size_t end = skip_while(text, at, is_word_char);
        if (end == at) end = skip_while(text, at, is_other);
        if (end > at) words.push_back({at, end});
        at = end > at ? end : end + decode_utf8(text, end).num_bytes;
      }
    });
  }
};

// Rewrites each piece by `rewrite(piece_text, is_first, out)`, where is_first says that the piece begins with
// the first character of the caller's whole text. What lies between pieces is dropped.
template <class Rewrite>
void rewrite_pieces(SplitText& split, RegexScratch& scratch, Rewrite rewrite) {
  scratch.charge(split.text.size());  // text may double here, and again in the next pre-tokenizer
  if (!split.pieces.empty() && split.pieces[0].begin > 0) split.starts_at_origin = false;
  std::string out;
  out.reserve(split.text.size() + split.text.size() / 4);
  bool is_first = split.starts_at_origin;
  for (Span& piece : split.pieces) {
    const std::size_t begin = out.size();
    rewrite(slice(split.text, piece), is_first, out);
    piece = {begin, out.size()};
    is_first = false;
  }
  split.text = std::move(out);
}

class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, std::unique_ptr<const PreTokenizer> splitter)
      : add_prefix_space_(add_prefix_space), splitter_(std::move(splitter)) {}

  void apply(SplitText& split, RegexScratch& scratch) const override {
    if (add_prefix_space_) {
      rewrite_pieces(split, scratch, [](std::string_view text, bool, std::string& out) {
        if (text[0] != ' ') out += ' ';
        out += text;
      });
    }
    if (splitter_) splitter_->apply(split, scratch);
    rewrite_pieces(split, scratch,
                   [](std::string_view text, bool, std::string& out) { append_byte_chars(out, text); });
  }

 private:
  bool add_prefix_space_;
  std::unique_ptr<const PreTokenizer> splitter_;  // null: pieces stay whole
};

enum class PrependScheme { kFirst, kAlways, kNever };

class Metaspace : public PreTokenizer {
 public:
  Metaspace(char32_t replacement, PrependScheme scheme, bool does_split)
      : scheme_(scheme), does_split_(does_split) {
    append_utf8(replacement_, replacement);
  }

  void apply(SplitText& split, RegexScratch& scratch) const override {
    rewrite_pieces(split, scratch, [this](std::string_view text, bool is_first, std::string& out) {
      const bool may_prepend =
          scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && is_first);
      if (may_prepend && text[0] != ' ' && !text.starts_with(replacement_)) out += replacement_;
      for (const char c : text) {
        if (c == ' ') {
          out += replacement_;
        } else {
          out += c;
        }
      }
    });
    if (!does_split_) return;
    split_pieces(split, SplitBehavior::kMergedWithNext, false,
                 [this](std::string_view text, std::vector<Span>& found) {
                   for (std::size_t at = 0; (at = text.find(replacement_, at)) != text.npos;
                        at += replacement_.size()) {
                     found.push_back({at, at + replacement_.size()});
                   }
                 });
  }

 private:
  std::string replacement_;  // one character
  PrependScheme scheme_;
  bool does_split_;
};

PrependScheme parse_prepend_scheme(const JsonField& field) {
  const auto scheme = field.find("prepend_scheme");
  const auto legacy = field.find("add_prefix_space");
  const bool is_off = legacy && !legacy->as_bool();
  if (!scheme) return is_off ? PrependScheme::kNever : PrependScheme::kAlways;
  const std::string& name = scheme->as_string();
  if (is_off && name != "never") scheme->corrupt("contradicts \"add_prefix_space\": false");
  if (name == "first") return PrependScheme::kFirst;
  if (name == "always") return PrependScheme::kAlways;
  if (name == "never") return PrependScheme::kNever;
  scheme->unsupported("must be first, always or never");
}

std::unique_ptr<const PreTokenizer> make_byte_level(const JsonField& field) {
  const bool add_prefix_space = field.at("add_prefix_space").as_bool();
  field.at("trim_offsets").as_bool();  // only moves offsets, which Quire does not report
  const auto use_regex = field.find("use_regex");
  std::unique_ptr<const PreTokenizer> splitter;
  if (!use_regex || use_regex->as_bool()) {
    splitter = std::make_unique<Split>(Regex::from_pattern(kWordPattern, field.where()),
                                       SplitBehavior::kIsolated, false);
  }
  return std::make_unique<ByteLevel>(add_prefix_space, std::move(splitter));
}

std::unique_ptr<const PreTokenizer> make_pre_tokenizer(const JsonField& field, const std::string& type) {
  if (type == "ByteLevel") return make_byte_level(field);
  if (type == "Split") {
    return std::make_unique<Split>(Regex::from_json(field.at("pattern")),
                                   parse_split_behavior(field.at("behavior")), field.at("invert").as_bool());
  }
  if (type == "Metaspace") {
    const auto split = field.find("split");
    return std::make_unique<Metaspace>(field.at("replacement").as_char(), parse_prepend_scheme(field),
                                       !split || split->as_bool());
  }
  if (type == "Digits") {
    const bool individual = field.at("individual_digits").as_bool();
    return std::make_unique<CharSplit>(is_numeric,
                                       individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
  }
  if (type == "Punctuation") {
    const auto behavior = field.find("behavior");
    return std::make_unique<CharSplit>(is_punctuation,
                                       behavior ? parse_split_behavior(*behavior) : SplitBehavior::kIsolated);
  }
  if (type == "Whitespace") return std::make_unique<Whitespace>();
  if (type == "WhitespaceSplit") return std::make_unique<CharSplit>(is_whitespace, SplitBehavior::kRemoved);
  field.at("type").unsupported("this pre-tokenizer is not known");
}

void add_pre_tokenizers(const JsonField& field, PreTokenizers& out) {
  const std::string& type = field.at("type").as_string();
  if (type != "Sequence") {
    if (out.size() >= kMaxPreTokenizers) {
      field.unsupported(fmt::format("more than {} pre-tokenizers", kMaxPreTokenizers));
    }
    out.push_back(make_pre_tokenizer(field, type));
    return;
  }
  const JsonField members = field.at("pretokenizers");
  for (std::size_t i = 0; i < members.num_elements(); ++i) add_pre_tokenizers(members.element(i), out);
}

}  // namespace

SplitText::SplitText(NormalizedText source) : NormalizedText(std::move(source)) {
  if (!text.empty()) pieces.push_back({0, text.size()});
}

PreTokenizers make_pre_tokenizers(const JsonField& field) {
  PreTokenizers out;
  add_pre_tokenizers(field, out);
  return out;
}

}  // namespace quire
