#include "text/decoder_chain.h"

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "text/byte_alphabet.h"
#include "text/regex.h"
#include "text/utf8.h"

namespace quire {
namespace {

constexpr std::size_t kMaxDecoders = 64;
constexpr double kMaxGrowth = 1000;
constexpr std::string_view kReplacementText = "\xEF\xBF\xBD";  // U+FFFD

// A stage that needs whole tokens.
class TokenStage : public DecodeStage {
 public:
  explicit TokenStage(DecodeStage& next) : next_(next) {}
  void text(std::string_view part) override { token_ += part; }
  void end_token() override {
    take_token(token_);
    token_.clear();
  }
  void finish() override { next_.finish(); }

 protected:
  virtual void take_token(std::string& token) = 0;
  void pass_token(std::string_view token) {
    next_.text(token);
    next_.end_token();
  }
  DecodeStage& next_;

 private:
  std::string token_;
};

// Every token back to bytes, and all bytes together to text. Its output is one token.
class ByteLevelStage : public TokenStage {
 public:
  using TokenStage::TokenStage;
  void finish() override {
    flush(true);
    next_.end_token();
    next_.finish();
  }

 protected:
  void take_token(std::string& token) override {
    if (!try_append_bytes(bytes_, token)) bytes_ += token;
    flush(false);
  }

 private:
  void flush(bool is_last) {
    std::string out;
    bytes_.erase(0, append_lossy_utf8(out, bytes_, is_last));
    if (!out.empty()) next_.text(out);
  }

  std::string bytes_;  // the beginning of a character
};

class ByteLevel : public TokenDecoder {
 public:
  std::unique_ptr<DecodeStage> make_stage(DecodeStage& next, RegexScratch&) const override {
    return std::make_unique<ByteLevelStage>(next);
  }
  bool map_token(std::string& token) const override {
    std::string bytes;
    if (try_append_bytes(bytes, token)) token = std::move(bytes);
    return false;
  }
};

// The byte that a token like <0x0A> names.
std::optional<char> parse_byte_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  int byte = 0;
  for (const char digit : token.substr(3, 2)) {
    const char lower = static_cast<char>(digit | 0x20);
    if (digit >= '0' && digit <= '9') {
      byte = byte * 16 + (digit - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      byte = byte * 16 + (lower - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return static_cast<char>(byte);
}

// A run of byte tokens is text if all of it is valid UTF-8; otherwise each of its bytes becomes U+FFFD. So a
// run can be passed on only when it has ended.
class ByteFallbackStage : public TokenStage {
 public:
  using TokenStage::TokenStage;
  void finish() override {
    flush();
    next_.finish();
  }

 protected:
  void take_token(std::string& token) override {
    if (const auto byte = parse_byte_token(token)) {
      bytes_ += *byte;
      return;
    }
    flush();
    pass_token(token);
  }

 private:
  void flush() {
    if (bytes_.empty()) return;
    if (is_valid_utf8(bytes_)) {
      pass_token(bytes_);
    } else {
      for (std::size_t i = 0; i < bytes_.size(); ++i) pass_token(kReplacementText);
    }
    bytes_.clear();
  }

  std::string bytes_;
};

class ByteFallback : public TokenDecoder {
 public:
  std::unique_ptr<DecodeStage> make_stage(DecodeStage& next, RegexScratch&) const override {
    return std::make_unique<ByteFallbackStage>(next);
  }
  bool map_token(std::string& token) const override {
    const auto byte = parse_byte_token(token);
    if (byte) token.assign(1, *byte);
    return !byte;
  }
};

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  std::size_t at = 0;
  for (std::size_t found; (found = text.find(from, at)) != text.npos; at = found + from.size()) {
    out.append(text, at, found - at).append(to);
  }
  return out.append(text, at);
}

// The metaspace back to a space; in the first token to nothing, since a space was added there.
class MetaspaceStage : public TokenStage {
 public:
  MetaspaceStage(DecodeStage& next, std::string_view metaspace, bool drops_first)
      : TokenStage(next), metaspace_(metaspace), drops_(drops_first) {}

 protected:
  void take_token(std::string& token) override {
    pass_token(replace_all(token, metaspace_, drops_ ? "" : " "));
    drops_ = false;
  }

 private:
  std::string_view metaspace_;
  bool drops_;
};

class Metaspace : public TokenDecoder {
 public:
  Metaspace(char32_t metaspace, bool drops_first) : drops_first_(drops_first) {
    append_utf8(metaspace_, metaspace);
  }
  std::unique_ptr<DecodeStage> make_stage(DecodeStage& next, RegexScratch&) const override {
    return std::make_unique<MetaspaceStage>(next, metaspace_, drops_first_);
  }
  bool map_token(std::string& token) const override {
    token = replace_all(token, metaspace_, " ");
    return true;
  }

 private:
  std::string metaspace_;
  bool drops_first_;
};

// All tokens as one.
class FuseStage : public DecodeStage {
 public:
  explicit FuseStage(DecodeStage& next) : next_(next) {}
  void text(std::string_view part) override { next_.text(part); }
  void end_token() override {}
  void finish() override {
    next_.end_token();
    next_.finish();
  }

 private:
  DecodeStage& next_;
};

class Fuse : public TokenDecoder {
 public:
  std::unique_ptr<DecodeStage> make_stage(DecodeStage& next, RegexScratch&) const override {
    return std::make_unique<FuseStage>(next);
  }
  bool map_token(std::string&) const override { return true; }
};

// Cuts up to `num_start` characters `content` from the start of each token and `num_stop` from its end. The
// last `num_stop` of a run of them are held back, for they may turn out to be the end.
class StripStage : public DecodeStage {
 public:
  StripStage(DecodeStage& next, std::string_view content, std::int64_t num_start, std::int64_t num_stop)
      : next_(next),
        content_(content),
        num_start_(num_start),
        num_stop_(num_stop),
        num_start_left_(num_start) {}

  void text(std::string_view part) override {
    while (!part.empty()) {
      if (!part.starts_with(content_)) {
        release(0);
        num_start_left_ = 0;
        const std::size_t end = std::min(part.find(content_), part.size());
        next_.text(part.substr(0, end));
        part.remove_prefix(end);
        continue;
      }
      part.remove_prefix(content_.size());
      if (num_start_left_ > 0) {
        --num_start_left_;
      } else {
        ++num_held_;
        release(num_stop_);
      }
    }
  }

  void end_token() override {
    num_held_ = 0;
    num_start_left_ = num_start_;
    next_.end_token();
  }

  void finish() override { next_.finish(); }

 private:
  void release(std::int64_t num_kept) {
    for (; num_held_ > num_kept; --num_held_) next_.text(content_);
  }

  DecodeStage& next_;
  std::string_view content_;  // one character
  std::int64_t num_start_;
  std::int64_t num_stop_;
  std::int64_t num_start_left_;  // characters that may still be cut from the start of this token
  std::int64_t num_held_ = 0;    // characters held back
};

class StripDecoder : public TokenDecoder {
 public:
  StripDecoder(char32_t content, std::int64_t num_start, std::int64_t num_stop)
      : num_start_(num_start), num_stop_(num_stop) {
    append_utf8(content_, content);
  }
  std::unique_ptr<DecodeStage> make_stage(DecodeStage& next, RegexScratch&) const override {
    return std::make_unique<StripStage>(next, content_, num_start_, num_stop_);
  }
  bool map_token(std::string&) const override { return true; }  // cuts the edges of a text, not its middle

 private:
  std::string content_;
  std::int64_t num_start_;
  std::int64_t num_stop_;
};

std::string replace_matches(const Regex& pattern, const std::string& content, std::string_view text,
                            RegexScratch& scratch) {
  std::vector<Span> matches;
  if (!text.empty()) pattern.find_all(text, scratch, matches);
  scratch.charge(matches.size() * content.size());
  std::string out;
  std::size_t at = 0;
  for (const Span& match : matches) {
    out.append(text, at, match.begin - at).append(content);
    at = match.end;
  }
  return out.append(text, at);
}

class ReplaceStage : public TokenStage {
 public:
  ReplaceStage(DecodeStage& next, const Regex& pattern, const std::string& content, RegexScratch& budget)
      : TokenStage(next), pattern_(pattern), content_(content), budget_(budget) {}

 protected:
  void take_token(std::string& token) override {
    pass_token(replace_matches(pattern_, content_, token, budget_));
  }

 private:
  const Regex& pattern_;
  const std::string& content_;
  RegexScratch& budget_;
};

class ReplaceDecoder : public TokenDecoder {
 public:
  // `min_match_bytes`: what every match of the pattern has at least.
  ReplaceDecoder(Regex pattern, std::size_t min_match_bytes, std::string content)
      : pattern_(std::move(pattern)), min_match_bytes_(min_match_bytes), content_(std::move(content)) {}
  std::unique_ptr<DecodeStage> make_stage(DecodeStage& next, RegexScratch& budget) const override {
    return std::make_unique<ReplaceStage>(next, pattern_, content_, budget);
  }
  double growth() const override {
    // Between any two bytes where an empty match is possible.
    const auto content_bytes = static_cast<double>(content_.size());
    return min_match_bytes_ == 0 ? content_bytes + 1
                                 : std::max(1.0, content_bytes / static_cast<double>(min_match_bytes_));
  }
  bool map_token(std::string& token) const override {
    RegexScratch scratch(token.size());
    token = replace_matches(pattern_, content_, token, scratch);
    return true;
  }

 private:
  Regex pattern_;
  std::size_t min_match_bytes_;
  std::string content_;
};

class JoinStage : public TokenStage {
 public:
  using TokenStage::TokenStage;

 protected:
  void take_token(std::string& token) override {
    if (has_token_) next_.text(" ");
    has_token_ = true;
    pass_token(token);
  }

 private:
  bool has_token_ = false;
};

class Join : public TokenDecoder {
 public:
  std::unique_ptr<DecodeStage> make_stage(DecodeStage& next, RegexScratch&) const override {
    return std::make_unique<JoinStage>(next);
  }
  bool map_token(std::string&) const override { return true; }
};

bool metaspace_drops_first(const JsonField& field) {
  const auto scheme = field.find("prepend_scheme");
  const auto legacy = field.find("add_prefix_space");
  const bool is_off = legacy && !legacy->as_bool();
  if (!scheme) return !is_off;
  const std::string& name = scheme->as_string();
  if (name != "first" && name != "always" && name != "never")
    scheme->unsupported("must be first, always or never");
  return name != "never";
}

std::unique_ptr<const TokenDecoder> make_decoder(const JsonField& field, const std::string& type) {
  constexpr std::int64_t kMaxStrip = 1 << 20;
  if (type == "ByteLevel") return std::make_unique<ByteLevel>();
  if (type == "ByteFallback") return std::make_unique<ByteFallback>();
  if (type == "Fuse") return std::make_unique<Fuse>();
  if (type == "Metaspace") {
    return std::make_unique<Metaspace>(field.at("replacement").as_char(), metaspace_drops_first(field));
  }
  if (type == "Strip") {
    return std::make_unique<StripDecoder>(field.at("content").as_char(),
                                          field.at("start").as_int(0, kMaxStrip),
                                          field.at("stop").as_int(0, kMaxStrip));
  }
  if (type == "Replace") {
    const JsonField pattern = field.at("pattern");
    const auto literal = pattern.find("String");
    return std::make_unique<ReplaceDecoder>(Regex::from_json(pattern),
                                            literal ? literal->as_string().size() : 0,
                                            field.at("content").as_string());
  }
  field.at("type").unsupported("this decoder is not known");
}

void add_decoders(const JsonField& field, DecoderChain& out) {
  const std::string& type = field.at("type").as_string();
  if (type != "Sequence") {
    if (out.size() >= kMaxDecoders) field.unsupported(fmt::format("more than {} decoders", kMaxDecoders));
    out.push_back(make_decoder(field, type));
    return;
  }
  const JsonField members = field.at("decoders");
  for (std::size_t i = 0; i < members.num_elements(); ++i) add_decoders(members.element(i), out);
}

}  // namespace

DecoderChain make_decoders(const JsonField& field) {
  DecoderChain out;
  add_decoders(field, out);
  double growth = 1;
  for (const auto& decoder : out) growth *= decoder->growth();
  if (growth > kMaxGrowth)
    field.unsupported(
        fmt::format("it may make a text {:.3g} times longer, at most {:.0f}", growth, kMaxGrowth));
  return out;
}

DecoderChain make_default_decoders() {
  DecoderChain out;
  out.push_back(std::make_unique<Join>());
  return out;
}

}  // namespace quire
