#include "text/vocabulary.h"

#include "base/check.h"
#include "text/utf8.h"

namespace quire {

Vocabulary Vocabulary::from_json(const JsonField& field) {
  Vocabulary vocabulary;
  const Json& object = field.as_object();
  vocabulary.ids_.reserve(object.size());
  for (const auto& [text, value] : object.items()) {
    const JsonField entry = field.member(text, value);
    const auto id = static_cast<std::int32_t>(entry.as_int(0, kMaxTokenId));
    if (const auto owner = vocabulary.token(id)) {
      entry.corrupt(fmt::format("this id already belongs to \"{}\"", shorten(*owner, 80)));
    }
    vocabulary.add(text, id);
  }
  return vocabulary;
}

bool Vocabulary::add(const std::string& text, std::int32_t id) {
  if (token(id)) return false;
  const auto [entry, is_new] = ids_.emplace(text, id);
  if (!is_new) return false;
  if (id >= end_id()) tokens_.resize(static_cast<std::size_t>(id) + 1, nullptr);
  tokens_[id] = &entry->first;
  return true;
}

std::optional<std::int32_t> Vocabulary::find(std::string_view text) const {
  const auto entry = ids_.find(text);
  if (entry == ids_.end()) return std::nullopt;
  return entry->second;
}

std::optional<std::string_view> Vocabulary::token(std::int32_t id) const {
  if (id < 0 || id >= end_id() || tokens_[id] == nullptr) return std::nullopt;
  return *tokens_[id];
}

}  // namespace quire
