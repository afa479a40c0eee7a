// Tokens by text and by id.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/json_field.h"

namespace quire {

// Ids above this are refused: the largest vocabularies in use have 262,144 tokens, and tables are as long as
// the highest id.
inline constexpr std::int32_t kMaxTokenId = (1 << 22) - 1;

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

class Vocabulary {
 public:
  // From an object {token: id}. Ids may have gaps; an id that stands twice is Error{kCorruptFile}.
  static Vocabulary from_json(const JsonField& field);

  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  // Returns false, with nothing changed, when text or id (0 <= id <= kMaxTokenId) is taken.
  bool add(const std::string& text, std::int32_t id);

  std::optional<std::int32_t> find(std::string_view text) const;
  std::optional<std::string_view> token(std::int32_t id) const;    // nothing for ids outside and in gaps
  int end_id() const { return static_cast<int>(tokens_.size()); }  // highest id + 1
  std::size_t num_tokens() const { return ids_.size(); }

 private:
  std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>> ids_;
  std::vector<const std::string*> tokens_;  // by id, into the keys of ids_; null in gaps
};

}  // namespace quire
