#include "text/tokenizer.h"

#include <algorithm>

#include "base/check.h"
#include "base/json.h"
#include "files/mapped_file.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/detokenizer.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/utf8.h"

namespace quire {
namespace {

constexpr std::size_t kMaxTextBytes = 256u << 20;
constexpr std::size_t kMaxNormalizedBytes = 1u << 30;  // ICU and the model count in 32 bits

// Each part of a file that may be missing or null.
template <class Make>
auto read_optional(const JsonField& root, const char* key, Make make) -> decltype(make(root)) {
  const auto field = root.find(key);
  if (!field) return {};
  return make(*field);
}

}  // namespace

struct Tokenizer::Parts {
  AddedTokens added;
  Bpe model;
  Normalizers normalizers;
  PreTokenizers pre_tokenizers;
  DecoderChain decoders;
  PostProcessor post_processor;

  explicit Parts(const JsonField& root);
  std::optional<std::string_view> token(std::int32_t id) const;

  // One call of encode.
  struct Encoding {
    const bool parse_special;
    const Prompt* prompt;  // null: a plain text
    RegexScratch regex_scratch;
    BpeScratch bpe_scratch;
    std::vector<std::int32_t> ids;
  };
  std::vector<TextPart> split_text(std::string_view text, Encoding& encoding) const;
  void encode_text(std::string_view text, Encoding& encoding) const;
  void encode_plain(std::string_view text, Span part, Encoding& encoding) const;
  void encode_normalized(NormalizedText text, Encoding& encoding) const;
};

namespace {

AddedTokens read_added_tokens(const JsonField& root, const Vocabulary& vocabulary) {
  return read_optional(root, "added_tokens",
                       [&](const JsonField& field) { return AddedTokens::from_json(field, vocabulary); });
}

Bpe read_model(const JsonField& root, AddedTokens& added) {
  const JsonField model = root.at("model");
  // Very old files leave the type out; what has merges is a byte-pair model.
  const auto type = model.find("type");
  if (type && type->as_string() != "BPE") type->unsupported("only BPE models are known");
  Vocabulary vocabulary = Vocabulary::from_json(model.at("vocab"));
  added = read_added_tokens(root, vocabulary);
  return Bpe::from_json(model, std::move(vocabulary),
                        [&added](std::int32_t id) { return added.is_special(id); });
}

}  // namespace

Tokenizer::Parts::Parts(const JsonField& root)
    : model(read_model(root, added)),
      normalizers(read_optional(root, "normalizer", make_normalizers)),
      pre_tokenizers(read_optional(root, "pre_tokenizer", make_pre_tokenizers)),
      decoders(root.find("decoder") ? make_decoders(root.at("decoder")) : make_default_decoders()) {
  if (const auto version = root.find("version")) {
    if (!version->json().is_string() || version->as_string() != "1.0")
      version->unsupported("only \"1.0\" is known");
  }
  added.prepare(normalizers);
  const auto has_token = [this](std::int32_t id) { return token(id).has_value(); };
  post_processor = read_optional(
      root, "post_processor", [&](const JsonField& field) { return make_post_processor(field, has_token); });
}

std::optional<std::string_view> Tokenizer::Parts::token(std::int32_t id) const {
  if (const AddedToken* token = added.find(id)) return added.decoded_form(*token);
  return model.vocabulary().token(id);
}

std::vector<TextPart> Tokenizer::Parts::split_text(std::string_view text, Encoding& encoding) const {
  if (!encoding.prompt) return added.split(text, false, encoding.parse_special, encoding.regex_scratch);
  std::vector<Span> literals;
  for (const ByteRange range : encoding.prompt->literals) literals.push_back({range.begin, range.end});
  return added.split_prompt(text, literals, encoding.prompt->control_ids, encoding.regex_scratch);
}

void Tokenizer::Parts::encode_text(std::string_view text, Encoding& encoding) const {
  for (const TextPart& part : split_text(text, encoding)) {
    if (part.id) {
      encoding.ids.push_back(*part.id);
    } else {
      encode_plain(text, part.span, encoding);
    }
  }
}

namespace {

// Marks of the bytes of `part` that literals hold; empty if there are none.
std::string literal_marks(std::span<const ByteRange> literals, Span part) {
  std::string marks;
  auto literal = std::partition_point(literals.begin(), literals.end(),
                                      [&](const ByteRange& range) { return range.end <= part.begin; });
  for (; literal != literals.end() && literal->begin < part.end; ++literal) {
    if (marks.empty()) marks.assign(part.end - part.begin, '\0');
    const std::size_t begin = std::max(literal->begin, part.begin), end = std::min(literal->end, part.end);
    std::fill_n(marks.begin() + static_cast<std::ptrdiff_t>(begin - part.begin), end - begin, '\1');
  }
  return marks;
}

}  // namespace

void Tokenizer::Parts::encode_plain(std::string_view text, Span part, Encoding& encoding) const {
  NormalizedText normal{std::string(text.substr(part.begin, part.end - part.begin)), part.begin == 0, {}};
  if (encoding.prompt) normal.marks = literal_marks(encoding.prompt->literals, part);
  for (const auto& normalizer : normalizers) {
    normalizer->apply(normal, encoding.regex_scratch);
    QUIRE_CHECK_KIND(kExhausted, normal.text.size() <= kMaxNormalizedBytes,
                     "{} bytes of text grow to {} when normalised; at most {}", part.end - part.begin,
                     normal.text.size(), kMaxNormalizedBytes);
  }
  const auto parts =
      encoding.prompt
          ? added.split_normalized_prompt(normal, encoding.prompt->control_ids, encoding.regex_scratch)
          : added.split(normal.text, true, encoding.parse_special, encoding.regex_scratch);
  for (const TextPart& piece : parts) {
    if (piece.id) {
      encoding.ids.push_back(*piece.id);
      continue;
    }
    const bool is_first = normal.starts_at_origin && piece.span.begin == 0;
    encode_normalized({normal.text.substr(piece.span.begin, piece.span.end - piece.span.begin), is_first, {}},
                      encoding);
  }
}

void Tokenizer::Parts::encode_normalized(NormalizedText text, Encoding& encoding) const {
  SplitText split(std::move(text));
  for (const auto& pre_tokenizer : pre_tokenizers) pre_tokenizer->apply(split, encoding.regex_scratch);
  const std::string_view all = split.text;
  for (const Span& piece : split.pieces) {
    model.encode(all.substr(piece.begin, piece.end - piece.begin), encoding.bpe_scratch, encoding.ids);
  }
}

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::from_json(std::string_view text, const std::string& origin) {
  const Json json = parse_json(text, origin);
  return Tokenizer(std::make_unique<const Parts>(JsonField(json, origin, "")));
}

Tokenizer Tokenizer::from_file(const std::string& path) {
  const MappedFile file = MappedFile::open_text(path, JsonLimits().max_bytes);
  return from_json(file.text(), path);
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  QUIRE_CHECK(text.size() <= kMaxTextBytes, "a text of {} bytes is too long to encode; at most {}",
              text.size(), kMaxTextBytes);
  Parts::Encoding encoding{options.parse_special, nullptr, RegexScratch(text.size()), {}, {}};
  const PostProcessor& around = parts_->post_processor;
  if (options.add_special_tokens) encoding.ids = around.prefix;
  if (is_valid_utf8(text)) {
    parts_->encode_text(text, encoding);
  } else {
    std::string repaired;
    append_lossy_utf8(repaired, text, true);
    parts_->encode_text(repaired, encoding);
  }
  if (options.add_special_tokens)
    encoding.ids.insert(encoding.ids.end(), around.suffix.begin(), around.suffix.end());
  return std::move(encoding.ids);
}

std::vector<std::int32_t> Tokenizer::encode_prompt(const Prompt& prompt) const {
  QUIRE_CHECK(prompt.text.size() <= kMaxTextBytes, "a prompt of {} bytes is too long to encode; at most {}",
              prompt.text.size(), kMaxTextBytes);
  QUIRE_CHECK(is_valid_utf8(prompt.text), "a prompt of {} bytes is not valid UTF-8", prompt.text.size());
  Parts::Encoding encoding{true, &prompt, RegexScratch(prompt.text.size()), {}, {}};
  parts_->encode_text(prompt.text, encoding);
  return std::move(encoding.ids);
}

std::vector<std::int32_t> Tokenizer::added_tokens_in(std::string_view text) const {
  return parts_->added.written_in(text);
}

std::vector<std::int32_t> Tokenizer::added_tokens() const { return parts_->added.ids(); }

const std::string& Tokenizer::written_form(std::int32_t id) const {
  const AddedToken* token = parts_->added.find(id);
  QUIRE_CHECK(token != nullptr, "no added token has the id {}", id);
  return token->content;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const {
  Detokenizer detokenizer(*this, skip_special_tokens);
  std::string text;
  for (const std::int32_t id : ids) text += detokenizer.push(id);
  return text += detokenizer.finish();
}

std::string Tokenizer::token_bytes(std::int32_t id) const {
  const auto text = token_text(id);
  QUIRE_CHECK(text.has_value(), "no token has the id {}", id);
  std::string bytes(*text);
  for (const auto& decoder : decoders()) {
    if (!decoder->map_token(bytes)) break;
  }
  return bytes;
}

int Tokenizer::vocab_size() const {
  return std::max(parts_->model.vocabulary().end_id(), parts_->added.end_id());
}

std::optional<std::int32_t> Tokenizer::token_to_id(std::string_view token) const {
  if (const auto id = parts_->added.find(token)) return id;
  return parts_->model.vocabulary().find(token);
}

bool Tokenizer::is_special(std::int32_t id) const { return parts_->added.is_special(id); }

std::optional<std::string_view> Tokenizer::token_text(std::int32_t id) const { return parts_->token(id); }

const DecoderChain& Tokenizer::decoders() const { return parts_->decoders; }

}  // namespace quire
