// Any ids, pushed one at a time: each piece is valid UTF-8, the pieces make up what decoding gives, and stop
// strings found in the stream cut it exactly where a search in the whole text would. The first byte picks the
// tokenizer and whether special tokens are skipped, the second the length of a stop string that follows; the
// rest are ids.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/stop.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace quire {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// Tokens that are single bytes, short runs of bytes and words, with the decoders that models of this kind
// have.
Tokenizer make_tokenizer(bool is_byte_level) {
  Json vocab = Json::object();
  int id = 0, num_moved = 0;
  const auto add = [&](const std::string& text) {
    if (!vocab.contains(text)) vocab[text] = id++;
  };
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    if (!is_byte_level) add(name);
    // The alphabet of byte-level models: printable bytes as they are, the others from U+0100 on.
    const bool is_plain = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    std::string letter;
    append_utf8(letter, is_plain ? static_cast<char32_t>(byte) : static_cast<char32_t>(256 + num_moved++));
    if (is_byte_level) add(letter);
  }
  for (const char* word :
       {"a", "b", "ab", "\u2581a", "\u2581", "\u00F0\u0141", "\u0122\u0122", "\u00E4\u00BD", "\u0122a"})
    add(word);
  Json file = {{"version", "1.0"},
               {"added_tokens",
                {{{"id", id},
                  {"content", "<s>"},
                  {"single_word", false},
                  {"lstrip", false},
                  {"rstrip", false},
                  {"normalized", false},
                  {"special", true}}}},
               {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
  if (is_byte_level) {
    file["decoder"] = {
        {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  } else {
    file["model"]["byte_fallback"] = true;
    file["decoder"] = {{"type", "Sequence"},
                       {"decoders",
                        {{{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}},
                         {{"type", "ByteFallback"}},
                         {{"type", "Fuse"}},
                         {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}};
  }
  return Tokenizer::from_json(file.dump(), "fuzz");
}

void check(const Tokenizer& tokenizer, bool skips_special, const std::string& stop,
           const std::vector<std::int32_t>& ids) {
  Detokenizer detokenizer(tokenizer, skips_special);
  StopStrings finder(stop.empty() ? std::vector<std::string>{} : std::vector{stop}, false);
  std::string text, shown;
  const auto take = [&](const std::string& part) {
    require(is_valid_utf8(part));
    text += part;
    const std::string visible = finder.push(part);
    require(is_valid_utf8(visible));
    shown += visible;
  };
  for (const std::int32_t id : ids) take(detokenizer.push(id));
  take(detokenizer.finish());
  shown += finder.finish();
  require(text == tokenizer.decode(ids, skips_special));
  const std::size_t match = stop.empty() ? std::string::npos : text.find(stop);
  require(shown == text.substr(0, match));
  require(finder.matched() == (match == std::string::npos ? "" : stop));
}

}  // namespace
}  // namespace quire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t num_bytes) {
  static const std::array tokenizers = {quire::make_tokenizer(true), quire::make_tokenizer(false)};
  if (num_bytes < 2) return 0;
  const quire::Tokenizer& tokenizer = tokenizers[data[0] & 1];
  const std::size_t stop_bytes = std::min<std::size_t>(data[1] % 12, num_bytes - 2);
  std::string stop;  // the engine takes valid UTF-8 only
  quire::append_lossy_utf8(stop, {reinterpret_cast<const char*>(data) + 2, stop_bytes}, true);
  std::vector<std::int32_t> ids;
  for (std::size_t at = 2 + stop_bytes; at < num_bytes; ++at) {
    // One byte for most tokens; 255 makes the next byte count from there.
    std::int32_t id = data[at];
    if (id == 255 && at + 1 < num_bytes) id += data[++at] % 16;
    ids.push_back(id % (tokenizer.vocab_size() + 2));
  }
  quire::check(tokenizer, (data[0] & 2) != 0, stop, ids);
  return 0;
}
