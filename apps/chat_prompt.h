// Prompts of a conversation. Chat templates are Jinja programs; this recognises the families that most models
// belong to by the markers in the template's text, and builds what their templates build for plain turns of
// system, user and assistant.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/generation_config.h"
#include "text/tokenizer.h"

namespace quire {

enum class ChatFamily {
  kNone,     // no template, or one that is not recognised
  kChatMl,   // <|im_start|>role\n ... <|im_end|>\n
  kLlama3,   // <|start_header_id|>role<|end_header_id|>\n\n ... <|eot_id|>
  kMistral,  // [INST] ... [/INST] answer </s>
};

const char* to_string(ChatFamily family);
ChatFamily recognise_chat_family(std::string_view chat_template);

struct ChatMessage {
  std::string role;  // "system", "user" or "assistant"
  std::string content;
};

// A stretch of a prompt: a marker that is one token of its own, or plain text.
struct PromptPiece {
  std::string text;
  bool is_marker;
};

// The conversation, open for the assistant's next words. Plain pieces stand alone between markers, as a
// tokenizer reads them. Throws Error{kUnsupported} for a system message in a family that has none.
std::vector<PromptPiece> chat_pieces(ChatFamily family, std::span<const ChatMessage> messages,
                                     const GenerationDefaults& defaults);

// Markers become their token; text never becomes one, whatever it contains.
std::vector<std::int32_t> encode_pieces(const Tokenizer& tokenizer, std::span<const PromptPiece> pieces);

// The family of a model, if its tokenizer has the family's markers.
ChatFamily choose_chat_family(const Tokenizer& tokenizer, const GenerationDefaults& defaults);

}  // namespace quire
