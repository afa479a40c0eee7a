#include "chat/chat_format.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/json.h"

namespace quire {
namespace {

using nlohmann::ordered_json;

// Templates that write '<|' + role + '|>' write <|user|> and <|assistant|>, neither of which stands in them.
bool is_written_around_a_role(std::string_view token, std::string_view source) {
  for (const std::string_view role : kRoles) {
    const std::size_t at = token.find(role);
    if (at == token.npos) continue;
    const std::string_view before = token.substr(0, at), after = token.substr(at + role.size());
    if (before.empty() && after.empty()) continue;
    if (source.find(before) != source.npos && source.find(after) != source.npos) return true;
  }
  return false;
}

// Added tokens that the template writes, other than mere white space: these are marks of the format.
std::vector<std::int32_t> control_ids_of(const GenerationDefaults& defaults, const Tokenizer& tokenizer) {
  const std::string source = defaults.chat_template + defaults.bos_token + defaults.eos_token;
  std::vector<std::int32_t> ids = tokenizer.added_tokens_in(source);
  for (const std::int32_t id : tokenizer.added_tokens()) {
    if (is_written_around_a_role(tokenizer.written_form(id), source)) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::erase_if(ids, [&](std::int32_t id) {
    return tokenizer.token_text(id).value_or("").find_first_not_of(" \t\r\n\f\v") == std::string_view::npos;
  });
  return ids;
}

}  // namespace

ChatFormat::ChatFormat(ChatTemplate chat_template, std::shared_ptr<const Tokenizer> tokenizer,
                       std::vector<std::int32_t> control_ids, bool trusts_messages)
    : template_(std::move(chat_template)),
      tokenizer_(std::move(tokenizer)),
      control_ids_(std::move(control_ids)),
      trusts_messages_(trusts_messages) {}

std::optional<ChatFormat> ChatFormat::load(const GenerationDefaults& defaults,
                                           std::shared_ptr<const Tokenizer> tokenizer, bool trusts_messages) {
  if (defaults.chat_template.empty()) return std::nullopt;
  auto chat_template = ChatTemplate::parse(defaults.chat_template, defaults.bos_token, defaults.eos_token,
                                           defaults.other_tokens);
  auto control_ids = control_ids_of(defaults, *tokenizer);
  return ChatFormat(std::move(chat_template), std::move(tokenizer), std::move(control_ids), trusts_messages);
}

std::vector<std::int32_t> ChatFormat::encode(const ordered_json& messages, bool add_generation_prompt,
                                             const ordered_json& variables) const {
  ordered_json read =
      with_content_format(with_parsed_arguments(with_reasoning_fields(messages)), template_.content_format());
  const TreeScope scope(read);
  const auto pieces = template_.render_pieces(read, add_generation_prompt, variables);
  std::string text;
  std::vector<ByteRange> literals;
  for (const TemplatePiece& piece : pieces) {
    if (piece.from_message && !trusts_messages_)
      literals.push_back({text.size(), text.size() + piece.text.size()});
    text += piece.text;
  }
  return tokenizer_->encode_prompt({text, literals, control_ids_});
}

}  // namespace quire
