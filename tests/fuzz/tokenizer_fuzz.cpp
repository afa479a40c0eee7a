// Fuzzes the tokenizer in three ways, chosen by the first byte:
//   {      the input is tokenizer.json, and behind a zero byte text to encode with it
//   /      the rest is a pattern to split at, and behind a zero byte text
//   other  the byte picks one of two fixed tokenizers, and the rest is text; the first must give it back
// Seeds: tokenizer_fuzz CORPUS tests/golden/tokenizer
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/json.h"
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
  const Tokenizer& tokenizer = kTokenizers[choice % kTokenizers.size()];
  check_encoding(tokenizer, text);
  if (&tokenizer != &kTokenizers[0]) return;
  const auto ids = tokenizer.encode(text, {.add_special_tokens = false, .parse_special = false});
  require(tokenizer.decode(ids, false) == without_invalid(text));
  for (const auto id : ids) require(!tokenizer.is_special(id));
}

constexpr std::string_view kSample =
    "The  lamp's 123 \r\n\n <s>caf\xC3\xA9 e\xCC\x81 \xE4\xBD\xA0\xF0\x9F\x98\x80 \xFF\xE2\x96\x81x ";

// What stands before and behind the first zero byte.
std::pair<std::string_view, std::string_view> split_input(std::string_view data) {
  const std::size_t end = data.find('\0');
  if (end == data.npos) return {data, kSample};
  return {data.substr(0, end), data.substr(end + 1)};
}

void fuzz_file(std::string_view data) {
  const auto [file, text] = split_input(data);
  check_encoding(Tokenizer::from_json(file, "fuzz"), text);
}

void fuzz_pattern(std::string_view data) {
  const auto [pattern, text] = split_input(data);
  const Json file = {
      {"model", {{"vocab", {{"a", 0}, {"_", 1}}}, {"merges", Json::array()}, {"unk_token", "_"}}},
      {"pre_tokenizer",
       {{"type", "Split"},
        {"pattern", {{"Regex", without_invalid(pattern)}}},
        {"behavior", "MergedWithNext"},
        {"invert", pattern.size() % 2 == 0}}}};
  check_encoding(Tokenizer::from_json(file.dump(), "fuzz"), text);
}

}  // namespace
}  // namespace quire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t num_bytes) {
  if (num_bytes == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), num_bytes);
  try {
    if (input[0] == '{') {
      quire::fuzz_file(input);
    } else if (input[0] == '/') {
      quire::fuzz_pattern(input.substr(1));
    } else {
      quire::fuzz_text(data[0], input.substr(1));
    }
  } catch (const quire::Error& error) {
    if (error.kind() == quire::ErrorKind::kInternal) std::abort();
  }
  return 0;
}
