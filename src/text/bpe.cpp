#include "text/bpe.h"

#include <algorithm>

#include "base/check.h"
#include "text/utf8.h"

namespace quire {
namespace {

constexpr std::int32_t kNone = -1;
constexpr std::int32_t kMerged = -2;  // id of a symbol that its left neighbour has swallowed
constexpr std::size_t kMaxCachedWords = 1 << 15;
constexpr std::size_t kMaxCachedBytes = 64;  // longer words seldom come back
constexpr std::size_t kMaxAffixBytes = 64;

constexpr std::uint64_t pair_key(std::uint32_t left, std::uint32_t right) {
  return static_cast<std::uint64_t>(left) << 32 | right;
}

void append_symbol(std::vector<BpeSymbol>& symbols, std::int32_t id) {
  const auto index = static_cast<std::int32_t>(symbols.size());
  if (index > 0) symbols.back().next = index;
  symbols.push_back({id, index - 1, kNone});
}

std::string read_affix(const JsonField& model, const char* key) {
  const auto field = model.find(key);
  if (!field) return "";
  if (field->as_string().size() > kMaxAffixBytes) {
    field->unsupported(fmt::format("longer than {} bytes", kMaxAffixBytes));
  }
  return field->as_string();
}

bool read_flag(const JsonField& model, const char* key) {
  const auto field = model.find(key);
  return field && field->as_bool();
}

// The two tokens of a merge: "a b" or ["a", "b"].
std::pair<std::string_view, std::string_view> read_pair(const JsonField& merge) {
  if (merge.json().is_array()) {
    if (merge.num_elements() != 2) merge.corrupt("a merge needs two tokens");
    return {merge.element(0).as_string(), merge.element(1).as_string()};
  }
  const std::string_view text = merge.as_string();
  const std::size_t space = text.find(' ');
  if (space == text.npos || text.find(' ', space + 1) != text.npos) merge.corrupt("a merge needs one space");
  return {text.substr(0, space), text.substr(space + 1)};
}

}  // namespace

Bpe Bpe::from_json(const JsonField& model, Vocabulary vocabulary, const IsSpecial& is_special) {
  Bpe bpe(std::move(vocabulary));
  bpe.is_special_.resize(bpe.vocabulary_.end_id());
  for (int id = 0; id < bpe.vocabulary_.end_id(); ++id) bpe.is_special_[id] = is_special(id);
  bpe.read_options(model);
  bpe.read_merges(model.at("merges"), is_special);
  return bpe;
}

void Bpe::read_options(const JsonField& model) {
  if (const auto dropout = model.find("dropout")) {
    const bool is_zero = dropout->json().is_number() && dropout->json().get<double>() == 0;
    if (!is_zero) dropout->unsupported("dropout makes tokens random");
  }
  continuing_prefix_ = read_affix(model, "continuing_subword_prefix");
  end_suffix_ = read_affix(model, "end_of_word_suffix");
  fuse_unk_ = read_flag(model, "fuse_unk");
  ignore_merges_ = read_flag(model, "ignore_merges");
  const auto unk = model.find("unk_token");
  if (unk && !unk->as_string().empty()) {  // older files write "" for none
    unk_id_ = vocabulary_.find(unk->as_string());
    if (!unk_id_) unk->corrupt("this token is not in the vocabulary");
  }
  if (!read_flag(model, "byte_fallback")) return;
  for (int byte = 0; byte < 256; ++byte) {
    byte_ids_.push_back(vocabulary_.find(fmt::format("<0x{:02X}>", byte)).value_or(kNone));
  }
}

void Bpe::read_merges(const JsonField& merges, const IsSpecial& is_special) {
  const std::size_t num_merges = merges.num_elements();
  merges_.reserve(num_merges);
  std::string merged;
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < num_merges; ++i) {
    const JsonField merge = merges.element(i);
    if (merge.json().is_string() && merge.as_string().starts_with("#version")) continue;
    const auto [left, right] = read_pair(merge);
    if (left.empty() || right.empty()) merge.corrupt("a merge of an empty token");
    const std::int32_t left_id = find_merge_token(left, merge);
    const std::int32_t right_id = find_merge_token(right, merge);
    if (!right.starts_with(continuing_prefix_))
      merge.corrupt("the right token lacks continuing_subword_prefix");
    merged.assign(left).append(right.substr(continuing_prefix_.size()));
    const std::int32_t merged_id = find_merge_token(merged, merge);
    const std::uint32_t this_rank = rank++;
    if (is_special(merged_id)) continue;
    merges_[pair_key(left_id, right_id)] = {this_rank, merged_id};
    const char32_t left_char = decode_utf8(left, previous_utf8(left, left.size())).code_point;
    joins_.insert(pair_key(left_char, decode_utf8(right, 0).code_point));
  }
}

std::int32_t Bpe::find_merge_token(std::string_view text, const JsonField& merge) const {
  const auto id = vocabulary_.find(text);
  if (!id) merge.corrupt(fmt::format("the token \"{}\" is not in the vocabulary", shorten(text, 80)));
  return *id;
}

void Bpe::encode(std::string_view word, BpeScratch& scratch, std::vector<std::int32_t>& ids) const {
  const auto whole = ignore_merges_ ? vocabulary_.find(word) : std::nullopt;
  if (whole && !is_special_[*whole]) {
    ids.push_back(*whole);
    return;
  }
  const bool has_affixes = !continuing_prefix_.empty() || !end_suffix_.empty();
  if (word.size() <= kMaxCachedBytes || has_affixes) return encode_part(word, scratch, ids);
  for (std::size_t begin = 0; begin < word.size();) {
    const std::size_t end = find_cut(word, begin);
    encode_part(word.substr(begin, end - begin), scratch, ids);
    begin = end;
  }
}

// The first place behind `begin` that no merge can reach across, or the end. Unknown characters stay with
// their neighbours, since runs of them may be fused.
std::size_t Bpe::find_cut(std::string_view word, std::size_t begin) const {
  Utf8Char last = decode_utf8(word, begin);
  std::size_t last_begin = begin;
  for (std::size_t at = begin + last.num_bytes; at < word.size();) {
    const Utf8Char next = decode_utf8(word, at);
    const bool joins = joins_.contains(pair_key(last.code_point, next.code_point));
    if (!joins && is_known(word.substr(last_begin, last.num_bytes)) &&
        is_known(word.substr(at, next.num_bytes))) {
      return at;
    }
    last = next;
    last_begin = at;
    at += next.num_bytes;
  }
  return word.size();
}

bool Bpe::is_known(std::string_view text) const {
  const auto id = vocabulary_.find(text);
  return id && !is_special_[*id];
}

void Bpe::encode_part(std::string_view part, BpeScratch& scratch, std::vector<std::int32_t>& ids) const {
  const bool may_cache = part.size() <= kMaxCachedBytes;
  if (may_cache) {
    if (const auto hit = scratch.cache_.find(part); hit != scratch.cache_.end()) {
      const auto cached = scratch.cached_ids_.begin();
      ids.insert(ids.end(), cached + hit->second.begin, cached + hit->second.end);
      return;
    }
  }
  const std::size_t begin = ids.size();
  split_into_symbols(part, scratch.symbols_);
  merge_symbols(scratch);
  for (const BpeSymbol& symbol : scratch.symbols_) {
    if (symbol.id != kMerged) ids.push_back(symbol.id);
  }
  if (!may_cache || scratch.cache_.size() >= kMaxCachedWords) return;
  const auto cached_begin = static_cast<std::uint32_t>(scratch.cached_ids_.size());
  scratch.cached_ids_.insert(scratch.cached_ids_.end(), ids.begin() + static_cast<std::ptrdiff_t>(begin),
                             ids.end());
  const auto cached_end = static_cast<std::uint32_t>(scratch.cached_ids_.size());
  scratch.cache_.emplace(part, BpeScratch::Range{cached_begin, cached_end});
}

// One symbol a character. An unknown character waits in `has_unk`, so that a run of them can become one
// token; a byte fallback does not end that wait, which is how Hugging Face's library orders the two.
void Bpe::split_into_symbols(std::string_view word, std::vector<BpeSymbol>& symbols) const {
  symbols.clear();
  bool has_unk = false;
  std::string decorated;
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t end = at + decode_utf8(word, at).num_bytes;
    std::string_view text = word.substr(at, end - at);
    const bool has_prefix = at > 0 && !continuing_prefix_.empty();
    const bool has_suffix = end == word.size() && !end_suffix_.empty();
    if (has_prefix || has_suffix) {
      decorated = has_prefix ? continuing_prefix_ : "";
      decorated.append(text).append(has_suffix ? end_suffix_ : "");
      text = decorated;
    }
    at = end;
    const auto id = vocabulary_.find(text);
    if (id && !is_special_[*id]) {
      if (has_unk) append_symbol(symbols, *unk_id_);
      has_unk = false;
      append_symbol(symbols, *id);
    } else if (!try_append_byte_tokens(text, symbols) && unk_id_) {
      if (has_unk && !fuse_unk_) append_symbol(symbols, *unk_id_);
      has_unk = true;
    }
  }
  if (has_unk) append_symbol(symbols, *unk_id_);
}

bool Bpe::try_append_byte_tokens(std::string_view text, std::vector<BpeSymbol>& symbols) const {
  if (byte_ids_.empty()) return false;
  const auto id_of = [this](char byte) { return byte_ids_[static_cast<unsigned char>(byte)]; };
  if (std::any_of(text.begin(), text.end(), [&](char byte) { return id_of(byte) == kNone; })) return false;
  for (const char byte : text) append_symbol(symbols, id_of(byte));
  return true;
}

void Bpe::merge_symbols(BpeScratch& scratch) const {
  std::vector<BpeSymbol>& symbols = scratch.symbols_;
  std::vector<BpeCandidate>& heap = scratch.heap_;
  heap.clear();
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
    const Merge* merge = find_merge(symbols[i].id, symbols[i + 1].id);
    if (merge != nullptr) heap.push_back({merge->rank, static_cast<std::int32_t>(i), merge->merged_id});
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const BpeCandidate best = heap.back();
    heap.pop_back();
    BpeSymbol& left = symbols[best.left];
    if (left.id == kMerged || left.next == kNone) continue;
    BpeSymbol& right = symbols[left.next];
    const Merge* merge = find_merge(left.id, right.id);
    if (merge == nullptr || merge->merged_id != best.merged_id) continue;  // one of the two has changed since
    left.id = best.merged_id;
    left.next = right.next;
    right.id = kMerged;
    if (left.next != kNone) symbols[left.next].previous = best.left;
    if (left.previous != kNone) push_candidate(left.previous, scratch);
    push_candidate(best.left, scratch);
  }
}

void Bpe::push_candidate(std::int32_t left, BpeScratch& scratch) const {
  const BpeSymbol& symbol = scratch.symbols_[left];
  if (symbol.next == kNone) return;
  const Merge* merge = find_merge(symbol.id, scratch.symbols_[symbol.next].id);
  if (merge == nullptr) return;
  scratch.heap_.push_back({merge->rank, left, merge->merged_id});
  std::push_heap(scratch.heap_.begin(), scratch.heap_.end(), std::greater<>());
}

const Bpe::Merge* Bpe::find_merge(std::int32_t left_id, std::int32_t right_id) const {
  const auto merge = merges_.find(pair_key(left_id, right_id));
  return merge == merges_.end() ? nullptr : &merge->second;
}

}  // namespace quire
