#include "text/normalizer.h"

#include <unicode/bytestream.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>

#include "base/check.h"
#include "text/canonical_order.h"
#include "text/unicode.h"

namespace quire {
namespace {

constexpr std::size_t kMaxNormalizers = 64;

// A text under construction, with the marks of what it is made from.
class Rewriting {
 public:
  explicit Rewriting(NormalizedText& text) : source_(text) { out_.text.reserve(text.text.size()); }

  // Bytes [begin, end) of the source as they are.
  void keep(std::size_t begin, std::size_t end) {
    out_.text.append(source_.text, begin, end - begin);
    if (!source_.marks.empty()) out_.marks.append(source_.marks, begin, end - begin);
  }
  // `bytes` in the place of the source's [begin, end); an insertion, where this is empty, is not marked.
  void replace(std::size_t begin, std::size_t end, std::string_view bytes) {
    out_.text += bytes;
    if (!source_.marks.empty()) out_.marks.append(bytes.size(), source_.is_marked(begin, end) ? '\1' : '\0');
  }
  std::string& text() { return out_.text; }  // for appending; `mark_rest` then follows
  void mark_rest(std::size_t begin, std::size_t end) {
    if (!source_.marks.empty())
      out_.marks.resize(out_.text.size(), source_.is_marked(begin, end) ? '\1' : '\0');
  }
  void finish() {
    source_.text = std::move(out_.text);
    source_.marks = std::move(out_.marks);
  }

 private:
  NormalizedText& source_;
  NormalizedText out_;
};

class UnicodeForm : public Normalizer {
 public:
  explicit UnicodeForm(const icu::Normalizer2* form) : form_(form) {}

  void apply(NormalizedText& text, RegexScratch&) const override {
    if (is_ascii(text.text)) return;
    order_marks(text);
    std::string out;
    out.reserve(text.text.size());
    icu::StringByteSink<std::string> sink(&out);
    UErrorCode status = U_ZERO_ERROR;
    const icu::StringPiece source(text.text.data(), static_cast<int32_t>(text.text.size()));
    icu::Edits edits;
    form_->normalizeUTF8(0, source, sink, text.marks.empty() ? nullptr : &edits, status);
    QUIRE_CHECK_KIND(kInternal, U_SUCCESS(status), "ICU cannot normalise {} bytes of text: {}",
                     text.text.size(), u_errorName(status));
    if (!text.marks.empty()) text.marks = marks_after(edits, text);
    text.text = std::move(out);
  }

 private:
  // What changes its place counts as marked.
  static void order_marks(NormalizedText& text) {
    if (text.marks.empty()) return order_long_mark_runs(text.text);
    const std::string before = text.text;
    order_long_mark_runs(text.text);
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (before[i] != text.text[i]) text.marks[i] = '\1';
    }
  }

  static std::string marks_after(const icu::Edits& edits, const NormalizedText& before) {
    std::string marks;
    UErrorCode status = U_ZERO_ERROR;
    for (auto edit = edits.getFineIterator(); edit.next(status);) {
      const auto begin = static_cast<std::size_t>(edit.sourceIndex());
      const auto end = begin + static_cast<std::size_t>(edit.oldLength());
      if (edit.hasChange()) {
        marks.append(static_cast<std::size_t>(edit.newLength()), before.is_marked(begin, end) ? '\1' : '\0');
      } else {
        marks.append(before.marks, begin, end - begin);
      }
    }
    QUIRE_CHECK_KIND(kInternal, U_SUCCESS(status), "ICU cannot tell what it changed in {} bytes of text: {}",
                     before.text.size(), u_errorName(status));
    return marks;
  }

  static bool is_ascii(std::string_view text) {
    for (const char c : text) {
      if ((c & 0x80) != 0) return false;
    }
    return true;
  }

  const icu::Normalizer2* form_;  // ICU's own singleton
};

class Lowercase : public Normalizer {
 public:
  void apply(NormalizedText& text, RegexScratch&) const override {
    Rewriting out(text);
    for (std::size_t at = 0; at < text.text.size();) {
      const Utf8Char c = decode_utf8(text.text, at);
      append_lowercase(out.text(), c.code_point);
      out.mark_rest(at, at + c.num_bytes);
      at += c.num_bytes;
    }
    out.finish();
  }
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}

  void apply(NormalizedText& text, RegexScratch&) const override {
    const std::size_t begin = left_ ? skip_while(text.text, 0, is_whitespace) : 0;
    const std::size_t end =
        right_ ? skip_back_while(text.text, begin, text.text.size(), is_whitespace) : text.text.size();
    for (std::string* bytes : {&text.text, &text.marks}) {
      if (bytes->empty()) continue;
      bytes->resize(end);
      bytes->erase(0, begin);
    }
    if (begin > 0) text.starts_at_origin = false;
  }

 private:
  bool left_;
  bool right_;
};

class StripAccents : public Normalizer {
 public:
  void apply(NormalizedText& text, RegexScratch&) const override {
    Rewriting out(text);
    for (std::size_t at = 0; at < text.text.size();) {
      const Utf8Char c = decode_utf8(text.text, at);
      if (!is_mark(c.code_point)) {
        out.keep(at, at + c.num_bytes);
      } else if (at == 0) {
        text.starts_at_origin = false;
      }
      at += c.num_bytes;
    }
    out.finish();
  }
};

class Replace : public Normalizer {
 public:
  Replace(Regex pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void apply(NormalizedText& text, RegexScratch& scratch) const override {
    if (text.text.empty()) return;
    std::vector<Span> matches;
    pattern_.find_all(text.text, scratch, matches);
    if (matches.empty()) return;
    scratch.charge(matches.size() * (content_.size() + 1));
    // A replaced beginning counts as its last character.
    const Span first = matches[0];
    const bool keeps_first = first.begin > 0 || first.end == 0 ||
                             (!content_.empty() && first.end == decode_utf8(text.text, 0).num_bytes);
    if (!keeps_first) text.starts_at_origin = false;
    Rewriting out(text);
    std::size_t at = 0;
    for (const Span& match : matches) {
      out.keep(at, match.begin);
      out.replace(match.begin, match.end, content_);
      at = match.end;
    }
    out.keep(at, text.text.size());
    out.finish();
  }

 private:
  Regex pattern_;
  std::string content_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}

  void apply(NormalizedText& text, RegexScratch& scratch) const override {
    if (text.text.empty()) return;
    scratch.charge(prefix_.size());
    text.text.insert(0, prefix_);
    if (!text.marks.empty()) text.marks.insert(0, prefix_.size(), '\0');
  }

 private:
  std::string prefix_;
};

const icu::Normalizer2* find_unicode_form(const std::string& type) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* form = nullptr;
  if (type == "NFC") form = icu::Normalizer2::getNFCInstance(status);
  if (type == "NFD") form = icu::Normalizer2::getNFDInstance(status);
  if (type == "NFKC") form = icu::Normalizer2::getNFKCInstance(status);
  if (type == "NFKD") form = icu::Normalizer2::getNFKDInstance(status);
  QUIRE_CHECK_KIND(kInternal, U_SUCCESS(status), "ICU has no data for {}: {}", type, u_errorName(status));
  return form;
}

std::unique_ptr<const Normalizer> make_normalizer(const JsonField& field, const std::string& type) {
  if (const icu::Normalizer2* form = find_unicode_form(type)) return std::make_unique<UnicodeForm>(form);
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "StripAccents") return std::make_unique<StripAccents>();
  if (type == "Strip") {
    return std::make_unique<Strip>(field.at("strip_left").as_bool(), field.at("strip_right").as_bool());
  }
  if (type == "Replace") {
    return std::make_unique<Replace>(Regex::from_json(field.at("pattern")), field.at("content").as_string());
  }
  if (type == "Prepend") return std::make_unique<Prepend>(field.at("prepend").as_string());
  field.at("type").unsupported("this normalizer is not known");
}

void add_normalizers(const JsonField& field, Normalizers& out) {
  const std::string& type = field.at("type").as_string();
  if (type != "Sequence") {
    if (out.size() >= kMaxNormalizers)
      field.unsupported(fmt::format("more than {} normalizers", kMaxNormalizers));
    out.push_back(make_normalizer(field, type));
    return;
  }
  const JsonField members = field.at("normalizers");
  for (std::size_t i = 0; i < members.num_elements(); ++i) add_normalizers(members.element(i), out);
}

}  // namespace

Normalizers make_normalizers(const JsonField& field) {
  Normalizers out;
  add_normalizers(field, out);
  return out;
}

}  // namespace quire
