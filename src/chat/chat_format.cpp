#include "chat/chat_format.h"

#include <algorithm>
#include <utility>

namespace quire {
namespace {

using nlohmann::ordered_json;

// Added tokens that the template writes, other than mere white space: these are marks of the format.
std::vector<std::int32_t> control_ids_of(const GenerationDefaults& defaults, const Tokenizer& tokenizer) {
  std::vector<std::int32_t> ids =
      tokenizer.added_tokens_in(defaults.chat_template + defaults.bos_token + defaults.eos_token);
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
  auto chat_template = ChatTemplate::parse(defaults.chat_template, defaults.bos_token, defaults.eos_token);
  auto control_ids = control_ids_of(defaults, *tokenizer);
  return ChatFormat(std::move(chat_template), std::move(tokenizer), std::move(control_ids), trusts_messages);
}

std::vector<std::int32_t> ChatFormat::encode(const ordered_json& messages, bool add_generation_prompt,
                                             const ordered_json& variables) const {
  const auto pieces =
      template_.render_pieces(with_reasoning_fields(messages), add_generation_prompt, variables);
  std::string text;
  std::vector<ByteRange> literals;
  for (const TemplatePiece& piece : pieces) {
    if (piece.from_message && !trusts_messages_)
      literals.push_back({text.size(), text.size() + piece.text.size()});
    text += piece.text;
  }
  return tokenizer_->encode_prompt({text, literals, control_ids_});
}

ordered_json with_reasoning_fields(ordered_json messages) {
  static constexpr const char* kNames[] = {"reasoning_content", "thinking", "reasoning"};
  for (ordered_json& message : messages) {
    if (!message.is_object()) continue;
    for (const char* name : kNames) {
      const auto thought = message.find(name);
      if (thought == message.end() || thought->is_null()) continue;
      const ordered_json text = *thought;  // adding members moves the others
      if (!message.contains("thinking")) message["thinking"] = text;
      message["reasoning_content"] = text;
      break;
    }
  }
  return messages;
}

}  // namespace quire
