// The byte-pair model of tokenizer.json: byte-level or character-level, with byte fallback.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "text/json_field.h"
#include "text/vocabulary.h"

namespace quire {

// A run of text symbols while it is being merged; links are indices, -1 at the ends.
struct BpeSymbol {
  std::int32_t id;
  std::int32_t previous;
  std::int32_t next;
};

// A pair that could be merged. Lower ranks go first, and among equals the leftmost.
struct BpeCandidate {
  std::uint32_t rank;
  std::int32_t left;  // index of the left symbol
  std::int32_t merged_id;

  friend bool operator>(const BpeCandidate& a, const BpeCandidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
  }
};

// Memory of one call, and the words it has already met. Not shared between threads.
class BpeScratch {
 private:
  friend class Bpe;
  struct Range {
    std::uint32_t begin;
    std::uint32_t end;
  };

  std::vector<BpeSymbol> symbols_;
  std::vector<BpeCandidate> heap_;
  std::unordered_map<std::string, Range, TextHash, std::equal_to<>> cache_;  // word -> range of cached_ids_
  std::vector<std::int32_t> cached_ids_;
};

class Bpe {
 public:
  using IsSpecial = std::function<bool(std::int32_t)>;

  // From the "model" object. No text ever becomes an id for which `is_special` holds, except the unknown
  // token: merges that would spell such a token are left out, and so is the token itself where whole words
  // are looked up.
  static Bpe from_json(const JsonField& model, Vocabulary vocabulary, const IsSpecial& is_special);

  const Vocabulary& vocabulary() const { return vocabulary_; }

  // Appends the ids of one word (valid UTF-8, as it left the pre-tokenizers; where there are none, the whole
  // text). Takes n log n time.
  void encode(std::string_view word, BpeScratch& scratch, std::vector<std::int32_t>& ids) const;

 private:
  struct Merge {
    std::uint32_t rank;
    std::int32_t merged_id;
  };
  struct PairHash {
    std::size_t operator()(std::uint64_t pair) const { return pair * 0x9E3779B97F4A7C15u >> 20; }
  };

  explicit Bpe(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  void read_options(const JsonField& model);
  void read_merges(const JsonField& merges, const IsSpecial& is_special);
  std::int32_t find_merge_token(std::string_view text, const JsonField& merge) const;

  // Encodes a word, or a part of one that no merge leaves.
  void encode_part(std::string_view part, BpeScratch& scratch, std::vector<std::int32_t>& ids) const;
  std::size_t find_cut(std::string_view word, std::size_t begin) const;
  bool is_known(std::string_view text) const;

  void split_into_symbols(std::string_view word, std::vector<BpeSymbol>& symbols) const;
  bool try_append_byte_tokens(std::string_view text, std::vector<BpeSymbol>& symbols) const;
  void merge_symbols(BpeScratch& scratch) const;
  void push_candidate(std::int32_t left, BpeScratch& scratch) const;
  const Merge* find_merge(std::int32_t left_id, std::int32_t right_id) const;

  Vocabulary vocabulary_;
  std::unordered_map<std::uint64_t, Merge, PairHash> merges_;  // by left id << 32 | right id
  // Characters x << 32 | y for which some merge joins a token that ends with x and one that begins with y.
  std::unordered_set<std::uint64_t, PairHash> joins_;
  std::vector<bool> is_special_;        // by id
  std::vector<std::int32_t> byte_ids_;  // of <0x00> to <0xFF>, -1 where absent; empty: no fallback
  std::optional<std::int32_t> unk_id_;
  std::string continuing_prefix_;  // continuing_subword_prefix: before every character but the first
  std::string end_suffix_;
  bool fuse_unk_ = false;
  bool ignore_merges_ = false;
};

}  // namespace quire
