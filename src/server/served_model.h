// A loaded model as the server needs it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "quire/engine.h"
#include "server/metrics.h"
#include "server/request_schema.h"
#include "text/tokenizer.h"

namespace quire {

// Tokens of a conversation. Text of the messages never becomes a special token unless the deployment trusts
// it. Throws Error{kInvalidArgument} when the template refuses the messages.
using ChatEncoder = std::function<std::vector<std::int32_t>(
    const OrderedJson& messages, bool add_generation_prompt, const OrderedJson& variables)>;

struct ServedModel {
  Engine* engine = nullptr;  // outlives the server's threads
  std::shared_ptr<const Tokenizer> tokenizer;
  ChatEncoder encode_chat;  // empty: the model has no chat template
  RequestLimits limits;
  std::vector<std::int32_t> eos_tokens;
  ModelFacts facts;
  std::int64_t created_s = 0;  // unix time
  std::int64_t max_num_seqs = 0;
};

}  // namespace quire
