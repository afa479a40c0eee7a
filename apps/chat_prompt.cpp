#include "apps/chat_prompt.h"

#include <algorithm>

#include "base/check.h"

namespace quire {
namespace {

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// Joins neighbouring plain text, because a tokenizer's merges may cross the seam.
class PieceBuilder {
 public:
  void marker(const std::string& text) {
    if (!text.empty()) pieces_.push_back({text, true});
  }
  void text(const std::string& text) {
    if (pieces_.empty() || pieces_.back().is_marker) pieces_.push_back({"", false});
    pieces_.back().text += text;
  }
  std::vector<PromptPiece> take() {
    std::erase_if(pieces_, [](const PromptPiece& piece) { return piece.text.empty(); });
    return std::move(pieces_);
  }

 private:
  std::vector<PromptPiece> pieces_;
};

std::string trim(const std::string& text) {
  const char* const kSpaces = " \t\r\n\f\v";
  const std::size_t begin = text.find_first_not_of(kSpaces);
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

std::vector<PromptPiece> chatml_pieces(std::span<const ChatMessage> messages) {
  PieceBuilder builder;
  for (const ChatMessage& message : messages) {
    builder.marker("<|im_start|>");
    builder.text(message.role + "\n" + message.content);
    builder.marker("<|im_end|>");
    builder.text("\n");
  }
  builder.marker("<|im_start|>");
  builder.text("assistant\n");
  return builder.take();
}

std::vector<PromptPiece> llama3_pieces(std::span<const ChatMessage> messages) {
  PieceBuilder builder;
  const auto header = [&](const std::string& role) {
    builder.marker("<|start_header_id|>");
    builder.text(role);
    builder.marker("<|end_header_id|>");
    builder.text("\n\n");
  };
  builder.marker("<|begin_of_text|>");
  for (const ChatMessage& message : messages) {
    header(message.role);
    builder.text(trim(message.content));
    builder.marker("<|eot_id|>");
  }
  header("assistant");
  return builder.take();
}

std::vector<PromptPiece> mistral_pieces(std::span<const ChatMessage> messages,
                                        const GenerationDefaults& defaults) {
  PieceBuilder builder;
  builder.marker(defaults.bos_token);
  for (const ChatMessage& message : messages) {
    QUIRE_CHECK_KIND(kUnsupported, message.role != "system",
                     "this model's chat format has no system message");
    if (message.role == "user") {
      builder.marker("[INST]");
      builder.text(" " + message.content);
      builder.marker("[/INST]");
    } else {
      builder.text(" " + message.content);
      builder.marker(defaults.eos_token);
    }
  }
  return builder.take();
}

}  // namespace

const char* to_string(ChatFamily family) {
  switch (family) {
    case ChatFamily::kNone:
      return "none";
    case ChatFamily::kChatMl:
      return "ChatML";
    case ChatFamily::kLlama3:
      return "Llama 3";
    case ChatFamily::kMistral:
      return "Mistral";
  }
  return "unknown";
}

ChatFamily recognise_chat_family(std::string_view chat_template) {
  if (has(chat_template, "<|im_start|>") && has(chat_template, "<|im_end|>")) return ChatFamily::kChatMl;
  if (has(chat_template, "<|start_header_id|>") && has(chat_template, "<|eot_id|>"))
    return ChatFamily::kLlama3;
  if (has(chat_template, "[INST]") && has(chat_template, "[/INST]") && !has(chat_template, "<<SYS>>"))
    return ChatFamily::kMistral;
  return ChatFamily::kNone;
}

std::vector<PromptPiece> chat_pieces(ChatFamily family, std::span<const ChatMessage> messages,
                                     const GenerationDefaults& defaults) {
  switch (family) {
    case ChatFamily::kChatMl:
      return chatml_pieces(messages);
    case ChatFamily::kLlama3:
      return llama3_pieces(messages);
    case ChatFamily::kMistral:
      return mistral_pieces(messages, defaults);
    case ChatFamily::kNone:
      break;
  }
  throw_error(ErrorKind::kUnsupported,
              "this model has no chat format that is known here; use --raw to send plain text");
}

std::vector<std::int32_t> encode_pieces(const Tokenizer& tokenizer, std::span<const PromptPiece> pieces) {
  std::vector<std::int32_t> ids;
  std::string text;
  const auto flush = [&] {
    const auto text_ids = tokenizer.encode(text, {.add_special_tokens = false, .parse_special = false});
    ids.insert(ids.end(), text_ids.begin(), text_ids.end());
    text.clear();
  };
  for (const PromptPiece& piece : pieces) {
    // Old vocabularies spell some markers as text, which then belongs to the text around it.
    const auto id = piece.is_marker ? tokenizer.token_to_id(piece.text) : std::nullopt;
    if (!id.has_value()) {
      text += piece.text;
      continue;
    }
    if (!text.empty()) flush();
    ids.push_back(*id);
  }
  if (!text.empty()) flush();
  return ids;
}

ChatFamily choose_chat_family(const Tokenizer& tokenizer, const GenerationDefaults& defaults) {
  const ChatFamily family = recognise_chat_family(defaults.chat_template);
  const bool is_spelt = family == ChatFamily::kMistral || family == ChatFamily::kNone;
  const char* const marker = family == ChatFamily::kLlama3 ? "<|eot_id|>" : "<|im_end|>";
  return is_spelt || tokenizer.token_to_id(marker).has_value() ? family : ChatFamily::kNone;
}

}  // namespace quire
