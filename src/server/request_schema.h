// The one validator of request bodies: names, types, defaults and ranges. Everything is judged before
// anything is rendered, tokenised or allocated. Fields that nobody knows are ignored; `null` is the default.
// Throws ApiError: 400 that names the field, 404 for an unknown model, 501 for what this build does not do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "quire/sampling_params.h"

namespace quire {

using OrderedJson = nlohmann::ordered_json;

// What the deployment allows, and the model's own defaults.
struct RequestLimits {
  std::vector<std::string> model_names;  // the first one is what an absent name means
  std::int32_t vocab_size = 0;
  std::int32_t max_model_len = 0;  // tokens of prompt and output
  std::int64_t max_logprobs = 20;
  std::int64_t max_n = 128;
  std::size_t max_prompts = 1024;
  std::size_t max_messages = 8192;
  std::size_t max_prompt_bytes = 8 << 20;  // of one prompt; more could never fit into the context
  bool has_priorities = false;
  // temperature, top_p, top_k, min_p, repetition_penalty and max_tokens of the model's authors
  SamplingParams defaults;
};

struct PromptInput {
  std::string text;
  std::vector<std::int32_t> tokens;  // instead of the text, if not empty
};

// What completions and chat have in common.
struct CallSettings {
  std::string model;
  SamplingParams params;
  bool has_max_tokens = false;              // the caller named it
  const char* length_field = "max_tokens";  // by this name
  std::int64_t n = 1;                       // answers for each prompt
  bool stream = false;
  bool include_usage = false;
  bool continuous_usage = false;
  bool add_special_tokens = false;
  bool returns_token_ids = false;
  bool shows_tokens_as_ids = false;    // "token_id:7" in the place of texts among the logprobs
  bool shows_prompt_logprobs = false;  // as a field of its own; echo shows them among the others
};

struct CompletionCall : CallSettings {
  std::vector<PromptInput> prompts;
  bool echo = false;
  bool is_scoring = false;  // max_tokens was 0: only the prompt is wanted
};

struct ChatCall : CallSettings {
  OrderedJson messages;
  OrderedJson template_variables;
  bool add_generation_prompt = true;
};

struct TokenizeCall {
  std::optional<std::string> prompt;  // else the messages
  OrderedJson messages, template_variables;
  bool add_generation_prompt = true;
  bool add_special_tokens = true;
  bool return_token_strs = false;
};

CompletionCall parse_completion_call(const Json& body, const RequestLimits& limits);
ChatCall parse_chat_call(const Json& body, const RequestLimits& limits);
TokenizeCall parse_tokenize_call(const Json& body, const RequestLimits& limits);
std::vector<std::int32_t> parse_detokenize_call(const Json& body, const RequestLimits& limits);

}  // namespace quire
