// Fuzzes the tokenizer in two ways, chosen by the first byte:
//   even  the rest is tokenizer.json, a zero byte, and text to encode with it
//   odd   the byte picks one of a few fixed tokenizers, and the rest is text; byte-level models must give it
//   back
// Seeds: the files of tests/golden/tokenizer, each behind a zero byte.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace quire {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

std::string without_invalid(std::string_view text) {
  std::string out;
  append_lossy_utf8(out, text, true);
  return out;
}

// Whatever the tokenizer: ids are in range, streaming agrees with decoding, and text stays valid.
void check_encoding(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool flag : {false, true}) {
    const auto ids = tokenizer.encode(text, {.add_special_tokens = flag, .parse_special = flag});
    Detokenizer detokenizer(tokenizer, flag);
    std::string streamed;
    for (const auto id : ids) {
      require(id >= 0 && id < tokenizer.vocab_size() && tokenizer.token_text(id).has_value());
      const std::string part = detokenizer.push(id);
      require(is_valid_utf8(part));
      streamed += part;
      tokenizer.token_bytes(id);
    }
    streamed += detokenizer.finish();
    require(streamed == tokenizer.decode(ids, flag));
  }
}

constexpr const char* kSplit = R"({"type": "Split", "pattern": {"Regex":
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
  "behavior": "Isolated", "invert": false})";

// A byte-level vocabulary of single bytes and a few merges.
Tokenizer make_byte_level(const std::string& normalizer) {
  std::string vocab;
  int id = 0;
  const auto add = [&](char32_t c) {
    std::string text;
    append_utf8(text, c);
    if (c == '"' || c == '\\') text.insert(0, "\\");
    vocab += (id > 0 ? ",\"" : "\"") + text + "\":" + std::to_string(id);
    ++id;
  };
  for (char32_t c = 0x21; c <= 0x7E; ++c) add(c);
  for (char32_t c = 0xA1; c <= 0xFF; ++c) {
    if (c != 0xAD) add(c);
  }
  for (char32_t c = 0x100; c < 0x144; ++c) add(c);
  for (const char* merged : {"th", "the", "Ġt", "ðŁ", "aa", "aaaa"})
    vocab += ",\"" + std::string(merged) + "\":" + std::to_string(id++);
  return Tokenizer::from_json(
      R"({"added_tokens": [{"id": 1000, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": true,
          "normalized": false, "special": true}], "normalizer": )" +
          normalizer + R"(, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [)" + kSplit +
          R"(, {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false}]},
          "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {)" +
          vocab + R"(}, "merges": ["t h", "th e", "Ġ t", "ð Ł", "a a", "aa aa"]}})",
      "fixed");
}

void fuzz_text(std::uint8_t choice, std::string_view text) {
  static const std::array<Tokenizer, 2> kTokenizers = {make_byte_level("null"),
                                                       make_byte_level(R"({"type": "NFC"})")};
  const Tokenizer& tokenizer = kTokenizers[choice / 2 % kTokenizers.size()];
  check_encoding(tokenizer, text);
  if (&tokenizer != &kTokenizers[0]) return;
  const auto ids = tokenizer.encode(text, {.add_special_tokens = false, .parse_special = false});
  require(tokenizer.decode(ids, false) == without_invalid(text));
  for (const auto id : ids) require(!tokenizer.is_special(id));
}

void fuzz_file(std::string_view data) {
  const std::size_t end = data.find('\0');
  const Tokenizer tokenizer = Tokenizer::from_json(data.substr(0, end), "fuzz");
  check_encoding(tokenizer, end == data.npos ? "" : data.substr(end + 1));
}

}  // namespace
}  // namespace quire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t num_bytes) {
  if (num_bytes == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, num_bytes - 1);
  try {
    if (data[0] % 2 == 0) {
      quire::fuzz_file(rest);
    } else {
      quire::fuzz_text(data[0], rest);
    }
  } catch (const quire::Error& error) {
    if (error.kind() == quire::ErrorKind::kInternal) std::abort();
  }
  return 0;
}
