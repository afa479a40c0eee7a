// Conversations to tokens, as a model's chat template writes them.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "chat/messages.h"
#include "files/generation_config.h"
#include "template/chat_template.h"
#include "text/tokenizer.h"

namespace quire {

// Never changes after loading: all methods may be called from many threads at once.
class ChatFormat {
 public:
  // Nothing if the model has no chat template. Throws Error{kCorruptFile, kUnsupported} for one that cannot
  // be used. With `trusts_messages`, special tokens that are written out in a message become control ids.
  static std::optional<ChatFormat> load(const GenerationDefaults& defaults,
                                        std::shared_ptr<const Tokenizer> tokenizer,
                                        bool trusts_messages = false);

  // The prompt's tokens; `messages` and `variables` as for ChatTemplate::render, contents as text or as a
  // list of parts, whichever the template wants, arguments of tool calls as JSON in a string or as values.
  // Special tokens come from the template alone: text of a message never becomes one, and neither becomes one
  // of the other added tokens that the template writes (turn markers that a file does not declare special).
  // Throws what ChatTemplate and Tokenizer throw.
  std::vector<std::int32_t> encode(const nlohmann::ordered_json& messages, bool add_generation_prompt,
                                   const nlohmann::ordered_json& variables = {}) const;

 private:
  ChatFormat(ChatTemplate chat_template, std::shared_ptr<const Tokenizer> tokenizer,
             std::vector<std::int32_t> control_ids, bool trusts_messages);

  ChatTemplate template_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<std::int32_t> control_ids_;
  bool trusts_messages_;
};

}  // namespace quire
