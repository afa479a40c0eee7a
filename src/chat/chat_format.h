// Conversations to tokens, as a model's chat template writes them.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

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

  // The prompt's tokens; `messages` and `variables` as for ChatTemplate::render. Special tokens come from the
  // template alone: text of a message never becomes one, and neither becomes one of the other added tokens
  // that the template writes (turn markers that a file does not declare special). Throws what ChatTemplate
  // and Tokenizer throw.
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

// Templates read the thoughts of a message under one of three names; whichever one is there is copied to the
// others, as Hugging Face does.
nlohmann::ordered_json with_reasoning_fields(nlohmann::ordered_json messages);

}  // namespace quire
