// From tokens to shown text, as a request goes through it: tokens that cut characters anywhere, and stop
// strings that begin and end anywhere.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "engine/stop.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace quire {
namespace {

constexpr const char* kChars[] = {"a",       "b",    " ",
                                  "\n",      "é",    "ß",
                                  "你",      "好",   "\u0e01",
                                  "\u0e33",  "😀",    "👩‍👩‍👧",
                                  "a\u0301", "\xC3", "\xF0\x9F\x98",
                                  "\xFF"};

class Model {
 public:
  explicit Model(const std::string& name)
      : tokenizer_(
            Tokenizer::from_file(QUIRE_SOURCE_DIR "/tests/golden/tokenizer/" + name + ".tokenizer.json")) {
    byte_ids_.fill(-1);
    for (std::int32_t id = 0; id < tokenizer_.vocab_size(); ++id) {
      if (!tokenizer_.token_text(id) || tokenizer_.is_special(id)) continue;
      const std::string bytes = tokenizer_.token_bytes(id);
      if (bytes.size() == 1) byte_ids_[static_cast<unsigned char>(bytes[0])] = id;
    }
  }

  const Tokenizer& tokenizer() const { return tokenizer_; }

  // Tokens of random characters: some as the tokenizer writes them, some byte by byte.
  std::vector<std::int32_t> random_ids(std::mt19937& random) const {
    std::vector<std::int32_t> ids;
    for (unsigned i = random() % 30; i-- > 0;) {
      const std::string text = kChars[random() % std::size(kChars)];
      if (random() % 2 == 0 && is_valid_utf8(text)) {
        const auto whole = tokenizer_.encode(text, {.add_special_tokens = false, .parse_special = false});
        ids.insert(ids.end(), whole.begin(), whole.end());
        continue;
      }
      for (const char byte : text) {
        const std::int32_t id = byte_ids_[static_cast<unsigned char>(byte)];
        if (id >= 0) ids.push_back(id);
      }
    }
    return ids;
  }

 private:
  Tokenizer tokenizer_;
  std::array<std::int32_t, 256> byte_ids_;
};

// Some characters out of the middle of `text`, or some that may not be in it.
std::string random_stop(std::mt19937& random, const std::string& text) {
  std::vector<std::size_t> begins;
  for (std::size_t at = 0; at < text.size(); at += decode_utf8(text, at).num_bytes) begins.push_back(at);
  if (begins.empty() || random() % 4 == 0) return std::string("你") + "a";
  begins.push_back(text.size());
  const std::size_t first = random() % (begins.size() - 1);
  const std::size_t last = std::min(first + 1 + random() % 4, begins.size() - 1);
  return text.substr(begins[first], begins[last] - begins[first]);
}

// What is shown of the whole text: up to the stop string that ends first, of several the longest.
std::string shown_of(const std::string& text, const std::vector<std::string>& stops) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& stop : stops) {
      if (std::string_view(text).substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest > 0) return text.substr(0, end - longest);
  }
  return text;
}

TEST(TextStreamTest, CharactersStayWholeAndStopsCutExactly) {
  std::mt19937 random(11);
  int num_held = 0, num_cut = 0;
  for (const char* name : {"gpt2", "qwen", "llama3", "llama2", "mistral", "metaspace"}) {
    const Model model(name);
    for (int round = 0; round < 400; ++round) {
      const auto ids = model.random_ids(random);
      const std::string text = model.tokenizer().decode(ids, true);
      std::vector<std::string> stops;
      for (unsigned i = random() % 3; i-- > 0;) stops.push_back(random_stop(random, text));
      Detokenizer detokenizer(model.tokenizer(), true);
      StopStrings finder(stops, false);
      std::string all, shown;
      const auto take = [&](const std::string& part) {
        const std::string visible = finder.push(part);
        ASSERT_TRUE(is_valid_utf8(part) && is_valid_utf8(visible)) << name;
        num_held += part.empty();
        all += part;
        shown += visible;
      };
      for (const std::int32_t id : ids) take(detokenizer.push(id));
      take(detokenizer.finish());
      shown += finder.finish();
      ASSERT_EQ(all, text) << name;
      ASSERT_EQ(shown, shown_of(text, stops)) << name << ": " << text;
      num_cut += shown.size() < text.size();
    }
  }
  EXPECT_GT(num_held, 5000) << "tokens that end inside of a character";
  EXPECT_GT(num_cut, 500);
}

}  // namespace
}  // namespace quire
