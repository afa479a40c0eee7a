#include "text/tokenizer.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/check.h"
#include "base/json.h"
#include "text/utf8.h"

namespace quire {
namespace {

using Ids = std::vector<std::int32_t>;

// A character-level tokenizer small enough to follow by hand: a=0 b=1 ab=2 abab=3 <s>=4 tool=5 _=6.
Json small_file() {
  return Json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [
      {"id": 4, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
       "special": true},
      {"id": 5, "content": "tool", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
       "special": false}],
    "normalizer": null, "pre_tokenizer": null, "decoder": {"type": "Fuse"},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [4], "tokens": ["<s>"]}}},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "abab": 3, "<s>": 4, "_": 6},
      "merges": ["a b", ["ab", "ab"]]}})");
}

Tokenizer load(const Json& file) { return Tokenizer::from_json(file.dump(), "tokenizer.json"); }

Ids encode_plain(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.encode(text, {.add_special_tokens = false, .parse_special = false});
}

struct BadFile {
  const char* pointer;  // what to change in small_file()
  const char* value;    // JSON to put there
  ErrorKind kind;
  const char* message;  // a part that must be in the error
};

void expect_refusal(const BadFile& bad) {
  Json file = small_file();
  file[Json::json_pointer(bad.pointer)] = Json::parse(bad.value);
  try {
    load(file);
    ADD_FAILURE() << bad.pointer << " = " << bad.value << " was accepted";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(to_string(error.kind()), std::string(to_string(bad.kind))) << message;
    EXPECT_TRUE(message.starts_with("tokenizer.json: ")) << message;
    EXPECT_NE(message.find(bad.message), std::string::npos) << message << "\n  should hold " << bad.message;
    EXPECT_TRUE(is_valid_utf8(message));
  }
}

TEST(Tokenizer, EncodesAndDecodes) {
  const Tokenizer tokenizer = load(small_file());
  EXPECT_EQ(tokenizer.encode("ababab", {}), (Ids{4, 3, 2}));
  EXPECT_EQ(encode_plain(tokenizer, "ababtoolb"), (Ids{3, 5, 1}));
  EXPECT_EQ(encode_plain(tokenizer, ""), Ids{});
  EXPECT_EQ(tokenizer.decode(Ids{4, 3, 5, 4}, false), "<s>ababtool<s>");
  EXPECT_EQ(tokenizer.decode(Ids{4, 3, 5, 4}, true), "ababtool");
  EXPECT_EQ(tokenizer.decode(Ids{-1, 0, 7, 1 << 30}, true), "a");
  EXPECT_EQ(tokenizer.vocab_size(), 7);
  EXPECT_EQ(tokenizer.token_to_id("tool"), 5);
  EXPECT_EQ(tokenizer.token_to_id("abab"), 3);
  EXPECT_EQ(tokenizer.token_to_id("c"), std::nullopt);
  EXPECT_TRUE(tokenizer.is_special(4));
  EXPECT_FALSE(tokenizer.is_special(5));
  EXPECT_FALSE(tokenizer.is_special(100));
  EXPECT_EQ(tokenizer.token_bytes(5), "tool");
  EXPECT_THROW(tokenizer.token_bytes(7), Error);
}

TEST(Tokenizer, ReadsSpecialTokensInTextOnlyWhenAsked) {
  const Tokenizer tokenizer = load(small_file());
  const EncodeOptions parse{.add_special_tokens = false, .parse_special = true};
  EXPECT_EQ(tokenizer.encode("a<s>b", parse), (Ids{0, 4, 1}));
  EXPECT_EQ(encode_plain(tokenizer, "a<s>b"), (Ids{2}));  // < s > are not in the vocabulary and vanish
}

// Three other ways in which text could become a control token: a merge, a whole word, and a single character.
TEST(Tokenizer, NoTextBecomesASpecialToken) {
  Json file = small_file();
  file["added_tokens"][0] = {{"id", 3},         {"content", "abab"}, {"single_word", false},
                             {"lstrip", false}, {"rstrip", false},   {"normalized", false},
                             {"special", true}};
  file["added_tokens"][2] = file["added_tokens"][0];
  file["added_tokens"][2]["id"] = 6;
  file["added_tokens"][2]["content"] = "_";
  for (const bool ignore_merges : {false, true}) {
    file["model"]["ignore_merges"] = ignore_merges;
    const Tokenizer tokenizer = load(file);
    EXPECT_EQ(encode_plain(tokenizer, "abab"), (Ids{2, 2}));
    EXPECT_EQ(encode_plain(tokenizer, "_a_"), (Ids{0}));
    EXPECT_EQ(tokenizer.encode("abab_", {.add_special_tokens = false, .parse_special = true}), (Ids{3, 6}));
  }
}

TEST(Tokenizer, UnknownCharactersBecomeTheUnknownTokenOrBytes) {
  Json file = small_file();
  file["model"]["unk_token"] = "_";
  EXPECT_EQ(encode_plain(load(file), "xxa"), (Ids{6, 6, 0}));
  file["model"]["fuse_unk"] = true;
  EXPECT_EQ(encode_plain(load(file), "xxa"), (Ids{6, 0}));
  file["model"]["byte_fallback"] = true;
  file["model"]["vocab"]["<0xC3>"] = 10;
  file["model"]["vocab"]["<0xA9>"] = 11;
  file["decoder"] = {{"type", "ByteFallback"}};
  const Tokenizer tokenizer = load(file);
  EXPECT_EQ(encode_plain(tokenizer, "aéx"), (Ids{0, 10, 11, 6}));
  EXPECT_EQ(tokenizer.decode(Ids{0, 10, 11}, true), "aé");
  EXPECT_EQ(tokenizer.token_bytes(11), "\xA9");
  EXPECT_EQ(tokenizer.token_bytes(2), "ab");
}

TEST(Tokenizer, TokenBytesOfTheCommonStyles) {
  const std::string folder = std::string(QUIRE_SOURCE_DIR) + "/tests/golden/tokenizer/";
  const Tokenizer byte_level = Tokenizer::from_file(folder + "gpt2.tokenizer.json");
  EXPECT_EQ(byte_level.token_bytes(*byte_level.token_to_id("Ġthe")), " the");
  EXPECT_EQ(byte_level.token_bytes(*byte_level.token_to_id("Ã")), "\xC3");
  const Tokenizer metaspace = Tokenizer::from_file(folder + "llama2.tokenizer.json");
  EXPECT_EQ(metaspace.token_bytes(*metaspace.token_to_id("▁the")), " the");
  EXPECT_EQ(metaspace.token_bytes(*metaspace.token_to_id("<0xFF>")), "\xFF");
  EXPECT_EQ(metaspace.token_bytes(*metaspace.token_to_id("<s>")), "<s>");
}

TEST(Tokenizer, MalformedFilesAreRefusedByName) {
  constexpr auto kCorrupt = ErrorKind::kCorruptFile;
  const BadFile bad_files[] = {
      {"/model", "null", kCorrupt, "model = null: must be an object"},
      {"/model/vocab", "[]", kCorrupt, "model.vocab (an array): must be an object"},
      {"/model/vocab/a", "-1", kCorrupt, "model.vocab.a = -1: must be an integer from 0 to"},
      {"/model/vocab/a", "4194304", kCorrupt, "model.vocab.a = 4194304: must be an integer"},
      {"/model/vocab/a", "18446744073709551615", kCorrupt, "18446744073709551615: must be an integer"},
      {"/model/vocab/a", "1.0", kCorrupt, "model.vocab.a = 1.0: must be an integer"},
      {"/model/vocab/a", "\"0\"", kCorrupt, "must be an integer"},
      {"/model/vocab/b", "0", kCorrupt, "model.vocab.b = 0: this id already belongs to \"a\""},
      {"/model/merges", "{}", kCorrupt, "model.merges (an object): must be an array"},
      {"/model/merges/0", "\"a  b\"", kCorrupt, "model.merges[0] = \"a  b\": a merge needs one space"},
      {"/model/merges/0", "\"ab\"", kCorrupt, "a merge needs one space"},
      {"/model/merges/0", "[\"a\"]", kCorrupt, "model.merges[0] (an array): a merge needs two tokens"},
      {"/model/merges/0", "[\"a\", 1]", kCorrupt, "model.merges[0][1] = 1: must be a string"},
      {"/model/merges/0", "\"a x\"", kCorrupt, "the token \"x\" is not in the vocabulary"},
      {"/model/merges/0", "\"b a\"", kCorrupt, "the token \"ba\" is not in the vocabulary"},
      {"/model/unk_token", "\"zz\"", kCorrupt,
       "model.unk_token = \"zz\": this token is not in the vocabulary"},
      {"/model/byte_fallback", "1", kCorrupt, "model.byte_fallback = 1: must be true or false"},
      {"/model/continuing_subword_prefix", "\"##\"", kCorrupt, "lacks continuing_subword_prefix"},
      {"/added_tokens", "1", kCorrupt, "added_tokens = 1: must be an array"},
      {"/added_tokens/0/id", "1", kCorrupt, "added_tokens[0].id = 1: the model gives \"<s>\" the id 4"},
      {"/added_tokens/1/id", "0", kCorrupt, "added_tokens[1].id = 0: the model gives this id to \"a\""},
      {"/added_tokens/1", R"({"id": 5, "content": "x"})", kCorrupt,
       "added_tokens[1] (an object): \"single_word\" is missing"},
      {"/added_tokens/1/content", "\"\"", kCorrupt, "added_tokens[1].content = \"\": must not be empty"},
      {"/added_tokens/1/special", "null", kCorrupt, "added_tokens[1].special = null: must be true or false"},
      {"/normalizer", "[]", kCorrupt, "normalizer (an array): must be an object"},
      {"/normalizer", R"({"type": "Prepend"})", kCorrupt, "normalizer (an object): \"prepend\" is missing"},
      {"/normalizer", R"({"type": "Replace", "pattern": {}, "content": ""})", kCorrupt,
       "normalizer.pattern (an object): must hold one of"},
      {"/pre_tokenizer",
       R"({"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated", "invert": false})", kCorrupt,
       "pre_tokenizer.pattern.Regex: pattern \"(a\", byte 2: a group is not closed"},
      {"/pre_tokenizer", R"({"type": "Metaspace", "replacement": "__"})", kCorrupt,
       "must be a string of one character"},
      {"/pre_tokenizer", R"({"type": "Metaspace", "replacement": "_", "add_prefix_space": false,
                             "prepend_scheme": "always"})",
       kCorrupt, "contradicts"},
      {"/decoder", R"({"type": "Strip", "content": " ", "start": -1, "stop": 0})", kCorrupt,
       "decoder.start = -1"},
      {"/post_processor/single/0/SpecialToken/id", "\"<x>\"", kCorrupt, "special_tokens does not define it"},
      {"/post_processor/special_tokens/<s>/ids/0", "77", kCorrupt, "ids[0] = 77: no token has this id"},
      {"/post_processor/single/1/Sequence/id", "\"B\"", kCorrupt, "can only use A"},
  };
  for (const BadFile& bad : bad_files) expect_refusal(bad);
}

TEST(Tokenizer, UnknownWishesAreRefusedByName) {
  constexpr auto kUnsupported = ErrorKind::kUnsupported;
  const BadFile bad_files[] = {
      {"/version", "\"2.0\"", kUnsupported, "version = \"2.0\""},
      {"/model/type", "\"Unigram\"", kUnsupported, "model.type = \"Unigram\": only BPE"},
      {"/model/dropout", "0.1", kUnsupported, "model.dropout = 0.1"},
      {"/normalizer", R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Nmt"}]})",
       kUnsupported, "normalizer.normalizers[1].type = \"Nmt\": this normalizer is not known"},
      {"/pre_tokenizer", R"({"type": "UnicodeScripts"})", kUnsupported,
       "pre_tokenizer.type = \"UnicodeScripts\""},
      {"/pre_tokenizer",
       R"({"type": "Split", "pattern": {"Regex": "(a)\\1"}, "behavior": "Isolated", "invert": false})",
       kUnsupported, "\\1 is not supported"},
      {"/pre_tokenizer", R"({"type": "Punctuation", "behavior": "Odd"})", kUnsupported, "behavior = \"Odd\""},
      {"/decoder", R"({"type": "CTC"})", kUnsupported, "decoder.type = \"CTC\": this decoder is not known"},
      {"/post_processor", R"({"type": "BertProcessing"})", kUnsupported,
       "post_processor.type = \"BertProcessing\""},
      {"/post_processor/single/0", R"({"Sequence": {"id": "A", "type_id": 0}})", kUnsupported,
       "repeats the text"},
  };
  for (const BadFile& bad : bad_files) expect_refusal(bad);
}

TEST(Tokenizer, MissingFilesAndBrokenJsonAreErrors) {
  EXPECT_THROW(Tokenizer::from_file("/no/such/tokenizer.json"), Error);
  EXPECT_THROW(Tokenizer::from_json("{", "x"), Error);
  EXPECT_THROW(Tokenizer::from_json("{}", "x"), Error);
  EXPECT_THROW(Tokenizer::from_json("[]", "x"), Error);
}

ErrorKind kind_of_encode(const Json& file, const std::string& text) {
  try {
    encode_plain(load(file), text);
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::kInternal;
}

TEST(Tokenizer, HostilePatternsEndInAnError) {
  const char* patterns[] = {"(a+)+$",        "(a|a)*c", "(a*)*c",       "a*a*a*a*c",
                            "(?:(?=a*)a)*c", "a*[bc]",  "(?<=a{900})c", "(a?){50}a{50}c"};
  for (const char* pattern : patterns) {
    Json file = small_file();
    file["pre_tokenizer"] = {
        {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
    const Tokenizer tokenizer = load(file);
    try {  // a step budget, so some of these finish on some lengths; none may take long
      encode_plain(tokenizer, std::string(200'000, 'a') + "b");
    } catch (const Error& error) {
      EXPECT_EQ(to_string(error.kind()), std::string(to_string(ErrorKind::kExhausted)))
          << pattern << ": " << error.what();
      EXPECT_EQ(std::string(error.what()).find(".json"), std::string::npos) << "clients read it";
    }
  }
  Json file = small_file();
  file["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"Regex", "(a+)+$"}}}, {"behavior", "Isolated"}, {"invert", false}};
  EXPECT_EQ(kind_of_encode(file, std::string(100, 'a') + "b"), ErrorKind::kExhausted);
}

TEST(Tokenizer, TextThatExplodesEndsInAnError) {
  Json file = small_file();
  const Json doubling = {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}};
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json::array()}};
  for (int i = 0; i < 60; ++i) file["normalizer"]["normalizers"].push_back(doubling);
  EXPECT_EQ(kind_of_encode(file, "a"), ErrorKind::kExhausted);
  file["normalizer"] = nullptr;
  const Json bytes = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
  file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", Json::array()}};
  for (int i = 0; i < 60; ++i) file["pre_tokenizer"]["pretokenizers"].push_back(bytes);
  EXPECT_EQ(kind_of_encode(file, "é"), ErrorKind::kExhausted);
}

TEST(Tokenizer, ManyThreadsGetTheSameIds) {
  const std::string folder = std::string(QUIRE_SOURCE_DIR) + "/tests/golden/tokenizer/";
  for (const char* name : {"qwen", "llama2", "flags"}) {
    const Tokenizer tokenizer = Tokenizer::from_file(folder + name + ".tokenizer.json");
    const std::string text = "Anna's lamp, 你好 e\u0301 <mask> and 12345\n\n  the end.";
    const Ids expected = tokenizer.encode(text, {});
    const std::string decoded = tokenizer.decode(expected, true);
    std::atomic<int> num_wrong = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int round = 0; round < 200; ++round) {
          if (tokenizer.encode(text, {}) != expected || tokenizer.decode(expected, true) != decoded)
            ++num_wrong;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(num_wrong, 0) << name;
  }
}

// A prompt whose marks are looked for after normalisation reads like any other text, but for its literals.
TEST(Tokenizer, NormalizedMarksOfAPromptAreFoundWhereTextsHaveThem) {
  Json file = small_file();
  file["added_tokens"][1]["normalized"] = true;
  const Ids control_ids = {5};
  const char* normalizers[] = {R"({"type": "Prepend", "prepend": "_"})",
                               R"({"type": "Lowercase"})",
                               R"({"type": "NFC"})",
                               R"({"type": "NFKC"})",
                               R"({"type": "Strip", "strip_left": true, "strip_right": true})",
                               R"({"type": "Replace", "pattern": {"String": "B"}, "content": "tool"})",
                               R"({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "_"},
          {"type": "Replace", "pattern": {"String": " "}, "content": "_"}]})"};
  for (const char* normalizer : normalizers) {
    file["normalizer"] = Json::parse(normalizer);
    const Tokenizer tokenizer = load(file);
    for (const std::string text : {"tool", "toolabtool", "ab tool", " tool", "TOOLb", "BaB", "a\u0301tool",
                                   "<s>tool", "a<s>toolb", "\uff54ool", "tooltool"}) {
      const Ids plain = tokenizer.encode(text, {.add_special_tokens = false, .parse_special = true});
      EXPECT_EQ(tokenizer.encode_prompt({text, {}, control_ids}), plain) << normalizer << " " << text;
      const std::vector<ByteRange> all = {{0, text.size()}};
      const Ids literal = tokenizer.encode_prompt({text, all, control_ids});
      EXPECT_EQ(std::count(literal.begin(), literal.end(), 5), 0) << normalizer << " " << text;
      EXPECT_EQ(std::count(literal.begin(), literal.end(), 4), 0) << normalizer << " " << text;
    }
  }
}

TEST(Tokenizer, LiteralsKeepTheirPlaceThroughNormalisation) {
  Json file = small_file();
  file["added_tokens"][1]["normalized"] = true;
  file["normalizer"] =
      Json::parse(R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"},
      {"type": "Replace", "pattern": {"String": "-"}, "content": "ab"}]})");
  const Tokenizer tokenizer = load(file);
  const auto num_tools = [&](const std::string& text, std::vector<ByteRange> literals) {
    const Ids control_ids = {5};
    const Ids ids = tokenizer.encode_prompt({text, literals, control_ids});
    return std::count(ids.begin(), ids.end(), 5);
  };
  EXPECT_EQ(num_tools("a\u0301-TOOL-tool", {}), 2);
  EXPECT_EQ(num_tools("a\u0301-TOOL-tool", {{0, 4}}), 2) << "letters before do not matter";
  EXPECT_EQ(num_tools("a\u0301-TOOL-tool", {{4, 8}}), 1);
  EXPECT_EQ(num_tools("a\u0301-TOOL-tool", {{7, 8}}), 1) << "one letter of it is a stranger's";
  EXPECT_EQ(num_tools("a\u0301-TOOL-tool", {{8, 9}}), 2);
  EXPECT_EQ(num_tools("a\u0301-TOOL-tool", {{4, 5}, {12, 13}}), 0);
}

TEST(Tokenizer, ReadsRegularFilesOfABoundedSizeOnly) {
  namespace fs = std::filesystem;
  std::string pattern = (fs::temp_directory_path() / "quire-tokenizer-XXXXXX").string();
  const fs::path folder = ::mkdtemp(pattern.data());
  const auto refusal = [&](const char* name) {
    try {
      Tokenizer::from_file((folder / name).string());
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("taken");
  };
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  fs::create_symlink("/dev/zero", folder / "zero");
  std::ofstream(folder / "long") << "{";
  fs::resize_file(folder / "long", std::uintmax_t{1} << 40);
  std::ofstream(folder / "pointer") << "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n";
  EXPECT_NE(refusal("pipe").find("not a regular file"), std::string::npos);
  EXPECT_NE(refusal("zero").find("not a regular file"), std::string::npos);
  EXPECT_NE(refusal("long").find("1099511627776 bytes, at most 268435456 are read"), std::string::npos);
  EXPECT_NE(refusal("pointer").find("Git LFS pointer and not the file of 7 bytes"), std::string::npos);
  EXPECT_NE(refusal("missing").find("cannot open"), std::string::npos);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace quire
