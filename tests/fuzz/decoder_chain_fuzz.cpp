// Any chain of decoders is refused when it is read, or decodes within its budget: at most a thousand bytes
// for one, or Error{kExhausted}; and what streams equals what is decoded at once. Each decoder takes a byte
// for its kind and some for its text; a zero byte ends the chain, and the rest are ids.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace quire {
namespace {

constexpr std::size_t kMaxGrowth = 1000, kMaxIds = 64;
const std::vector<std::string> kTokens = {
    "a", "e", "ab", "aaaaaaaaaaaaaaaa", "\u2581a", "<0xE2>", "<0x96>", "<0x81>", " ", "\u00e9"};

void require(bool condition) {
  if (!condition) std::abort();
}

// Takes bytes from the front of the input; zeros once it is used up.
class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}
  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const auto first = static_cast<std::uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return first;
  }
  std::string text() {
    const std::size_t num_bytes = std::min<std::size_t>(byte(), bytes_.size());
    std::string valid;
    append_lossy_utf8(valid, bytes_.substr(0, num_bytes), true);
    bytes_.remove_prefix(num_bytes);
    return valid;
  }
  std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
};

Json decoder_from(int kind, Input& input) {
  switch (kind) {
    case 1:
      return {{"type", "ByteLevel"}};
    case 2:
      return {{"type", "ByteFallback"}};
    case 3:
      return {{"type", "Fuse"}};
    case 4:
      return {{"type", "Metaspace"}, {"replacement", "\u2581"}};
    case 5:
      return {{"type", "Strip"}, {"content", "a"}, {"start", input.byte()}, {"stop", input.byte()}};
    case 6:
      return {{"type", "Replace"}, {"pattern", {{"String", input.text()}}}, {"content", input.text()}};
    default:
      return {{"type", "Replace"}, {"pattern", {{"Regex", input.text()}}}, {"content", input.text()}};
  }
}

Json file_of(const Json& decoders) {
  Json vocab = Json::object();
  for (std::size_t i = 0; i < kTokens.size(); ++i) vocab[kTokens[i]] = i;
  return {{"version", "1.0"},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}},
          {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}}};
}

void check(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  std::size_t num_bytes = 0;
  for (const std::int32_t id : ids) num_bytes += tokenizer.token_text(id)->size();
  std::string text;
  Detokenizer detokenizer(tokenizer, true);
  for (const std::int32_t id : ids) {
    const std::string piece = detokenizer.push(id);
    require(is_valid_utf8(piece));
    text += piece;
  }
  text += detokenizer.finish();
  // Three for a byte that is none of a character's, and what a match at the very end may add.
  require(text.size() <= (num_bytes + ids.size()) * kMaxGrowth * 3 + kMaxGrowth);
  require(text == tokenizer.decode(ids, true));
}

}  // namespace
}  // namespace quire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t num_bytes) {
  quire::Input input({reinterpret_cast<const char*>(data), num_bytes});
  quire::Json decoders = quire::Json::array();
  while (const int kind = input.byte() % 8) decoders.push_back(quire::decoder_from(kind, input));
  std::vector<std::int32_t> ids;
  for (const char byte : input.rest().substr(0, quire::kMaxIds))
    ids.push_back(static_cast<std::uint8_t>(byte) % static_cast<int>(quire::kTokens.size()));
  try {
    quire::check(quire::Tokenizer::from_json(quire::file_of(decoders).dump(), "fuzz"), ids);
  } catch (const quire::Error& e) {
    const bool expected = e.kind() == quire::ErrorKind::kCorruptFile ||
                          e.kind() == quire::ErrorKind::kUnsupported ||
                          e.kind() == quire::ErrorKind::kExhausted;
    quire::require(expected);
  }
  return 0;
}
