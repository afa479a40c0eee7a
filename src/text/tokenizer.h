// The tokenizer of a model, read from a Hugging Face tokenizer.json: text to ids and back, id for id as
// Hugging Face's own library does it, for byte-pair models.
//
//   const Tokenizer tokenizer = Tokenizer::from_file("model/tokenizer.json");
//   std::vector<std::int32_t> ids = tokenizer.encode("Who has the lamp?", {});
//   std::string text = tokenizer.decode(ids, true);
//
// Truncation and padding settings of the file are ignored: requests are not cut in silence.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/decoder_chain.h"

namespace quire {

struct EncodeOptions {
  bool add_special_tokens = true;  // what the file's template puts around a text, such as a beginning token
  // Whether special tokens that are written out in the text become control ids. Off, no text ever does (an
  // unknown character still becomes the unknown token). Added tokens that are not special always match.
  bool parse_special = false;
};

// A byte range of a text.
struct ByteRange {
  std::size_t begin, end;
};

// A prompt that a template wrote around words of strangers.
struct Prompt {
  std::string_view text;                      // valid UTF-8
  std::span<const ByteRange> literals;        // the strangers' words: sorted, disjoint
  std::span<const std::int32_t> control_ids;  // added tokens to treat like special ones: sorted
};

// Never changes after loading: all methods may be called from many threads at once.
class Tokenizer {
 public:
  // Throw Error{kCorruptFile} for a malformed file, Error{kUnsupported} for one that asks for something
  // unknown (both name file, field and value), and from_file what MappedFile::open_text throws. `origin`
  // names the file in messages.
  static Tokenizer from_json(std::string_view text, const std::string& origin);
  static Tokenizer from_file(const std::string& path);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Invalid UTF-8 in `text` is read as U+FFFD. Throws Error{kInvalidArgument} for texts above 256 MiB, and
  // Error{kExhausted} where a hostile file makes the work explode.
  std::vector<std::int32_t> encode(std::string_view text, const EncodeOptions& options) const;

  // Special tokens that the template wrote become control ids; none does that touches the literals, whatever they
  // say. The text is otherwise read as one, so that literals do not change how the tokens around them are cut.
  // Nothing is put around it. Throws like `encode`, and Error{kInvalidArgument} for invalid UTF-8.
  std::vector<std::int32_t> encode_prompt(const Prompt& prompt) const;

  // The text of `ids`, valid UTF-8. Ids without a token, and on request special tokens, stand for nothing.
  std::string decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const;

  // The bytes that a token stands for in the middle of a text: maybe a part of a character. Throws
  // Error{kInvalidArgument} for ids without a token.
  std::string token_bytes(std::int32_t id) const;

  int vocab_size() const;  // highest id + 1; ids may have gaps
  std::optional<std::int32_t> token_to_id(std::string_view token) const;
  bool is_special(std::int32_t id) const;

  // Ids of the added tokens that are written in `text`, sorted.
  std::vector<std::int32_t> added_tokens_in(std::string_view text) const;

  std::vector<std::int32_t> added_tokens() const;  // all of them, sorted
  // An added token as texts write it, before normalisation. Throws Error{kInvalidArgument} for other ids.
  const std::string& written_form(std::int32_t id) const;

  // What decoders read for `id`; nothing for ids without a token.
  std::optional<std::string_view> token_text(std::int32_t id) const;
  const DecoderChain& decoders() const;

 private:
  struct Parts;
  explicit Tokenizer(std::unique_ptr<const Parts> parts);

  std::unique_ptr<const Parts> parts_;
};

}  // namespace quire
