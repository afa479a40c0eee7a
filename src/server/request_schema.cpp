#include "server/request_schema.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "engine/sampling_params.h"
#include "server/api_error.h"
#include "server/later_features.h"
#include "server/request_fields.h"

namespace quire {
namespace {

constexpr std::int64_t kDefaultCompletionTokens = 16;
constexpr std::size_t kMaxStops = 4, kMaxStopTokens = 1024, kMaxBiases = 1024;
constexpr std::size_t kMaxParts = 1024;
constexpr std::size_t kMaxTokens =
    4'000'000;  // of a list; what the context holds is judged with words of its own
constexpr double kLeastRepetition = 0.01, kMostRepetition = 100;  // beyond these, f32 logits overflow
// What the server itself hands to a template.
constexpr std::array<const char*, 10> kReservedVariables = {
    "chat_template",          "tokenize",  "messages",  "tools",      "documents", "add_generation_prompt",
    "continue_final_message", "bos_token", "eos_token", "return_dict"};

void check_token(const char* field, std::int64_t token, const RequestLimits& limits) {
  if (token >= 0 && token < limits.vocab_size) return;
  throw_bad_request(field, "`{}` holds token {}, must lie in [0, {}]", field, token, limits.vocab_size - 1);
}

std::string parse_model(const RequestFields& fields, const RequestLimits& limits) {
  const std::string model = fields.string("model").value_or(limits.model_names.front());
  const auto& names = limits.model_names;
  if (std::find(names.begin(), names.end(), model) != names.end()) return model;
  throw ApiError(404, fmt::format("The model `{}` does not exist.", model.substr(0, 200)), "model");
}

std::vector<std::pair<std::int32_t, double>> parse_logit_bias(const RequestFields& fields,
                                                              const RequestLimits& limits) {
  std::vector<std::pair<std::int32_t, double>> biases;
  const Json* bias = fields.object("logit_bias");
  if (bias == nullptr) return biases;
  if (bias->size() > kMaxBiases) {
    throw_bad_request("logit_bias", "`logit_bias` has {} entries, at most {} are allowed", bias->size(),
                      kMaxBiases);
  }
  for (const auto& [key, value] : bias->items()) {
    std::int64_t token = -1;
    const auto end = key.data() + key.size();
    const auto result = std::from_chars(key.data(), end, token);
    if (result.ec != std::errc() || result.ptr != end) {
      throw_bad_request("logit_bias", "`logit_bias` has the key {}, must be a token id", show(Json(key)));
    }
    check_token("logit_bias", token, limits);
    if (!value.is_number()) {
      throw_bad_request("logit_bias", "`logit_bias` of token {} must be a number, got {}", token,
                        show(value));
    }
    biases.emplace_back(static_cast<std::int32_t>(token), value.get<double>());
  }
  return biases;
}

void parse_distribution(const RequestFields& fields, const RequestLimits& limits, SamplingParams& params) {
  const SamplingParams& defaults = limits.defaults;
  params.temperature = fields.number("temperature").value_or(defaults.temperature);
  params.top_p = fields.number("top_p").value_or(defaults.top_p);
  params.top_k = fields.integer("top_k").value_or(defaults.top_k);
  params.min_p = fields.number("min_p").value_or(defaults.min_p);
  params.presence_penalty = fields.number("presence_penalty").value_or(0.0);
  params.frequency_penalty = fields.number("frequency_penalty").value_or(0.0);
  params.repetition_penalty = fields.number("repetition_penalty").value_or(defaults.repetition_penalty);
  if (params.repetition_penalty < kLeastRepetition || params.repetition_penalty > kMostRepetition) {
    throw_bad_request("repetition_penalty", "`repetition_penalty` is {}, must lie in [{}, {}]",
                      params.repetition_penalty, kLeastRepetition, kMostRepetition);
  }
  params.logit_bias = parse_logit_bias(fields, limits);
  params.seed = fields.integer("seed");
}

void parse_end(const RequestFields& fields, SamplingParams& params) {
  params.min_tokens = fields.integer("min_tokens").value_or(0);
  params.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  params.stop = fields.strings("stop", kMaxStops);
  params.stop_token_ids = fields.token_ids("stop_token_ids", kMaxStopTokens);
  params.include_stop_str_in_output = fields.boolean("include_stop_str_in_output").value_or(false);
  params.skip_special_tokens = fields.boolean("skip_special_tokens").value_or(true);
}

void parse_stream(const RequestFields& fields, CallSettings& call) {
  call.stream = fields.boolean("stream").value_or(false);
  const Json* options = fields.object("stream_options");
  if (options == nullptr) return;
  if (!call.stream) throw_bad_request("stream_options", "`stream_options` needs `stream` to be true");
  const RequestFields inner(*options, "stream_options.");
  inner.boolean("include_obfuscation");  // padding against listeners, which only OpenAI's own server adds
  call.include_usage = inner.boolean("include_usage").value_or(false);
  call.continuous_usage = inner.boolean("continuous_usage_stats").value_or(false);
}

// A field that the engine knows under another name is judged here, so that the message has the client's name.
std::optional<std::int64_t> parse_renamed(const RequestFields& fields, const char* name, std::int64_t low,
                                          std::int64_t high) {
  const auto value = fields.integer(name);
  if (value && (*value < low || *value > high)) {
    throw_bad_request(name, "`{}` is {}, must lie in [{}, {}]", name, *value, low, high);
  }
  return value;
}

// Zero is for scoring, which needs a prompt that is echoed.
void check_max_tokens(const char* name, std::optional<std::int64_t> value) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (value && (*value < 1 || *value > kMost)) {
    throw_bad_request(name, "`{}` is {}, must lie in [1, {}]", name, *value, kMost);
  }
}

// Everything that completions and chat share; `max_tokens` and `logprobs` are the caller's part.
void parse_settings(const RequestFields& fields, const RequestLimits& limits, CallSettings& call) {
  call.model = parse_model(fields, limits);
  parse_distribution(fields, limits, call.params);
  parse_end(fields, call.params);
  parse_stream(fields, call);
  call.params.prompt_logprobs = fields.integer("prompt_logprobs");
  call.shows_prompt_logprobs = call.params.prompt_logprobs.has_value();
  if (call.params.prompt_logprobs && call.stream) {
    throw_bad_request("prompt_logprobs", "`prompt_logprobs` is not available with `stream`");
  }
  call.returns_token_ids = fields.boolean("return_token_ids").value_or(false);
  call.shows_tokens_as_ids = fields.boolean("return_tokens_as_token_ids").value_or(false);
  call.params.priority = fields.integer("priority").value_or(0);
  call.params.cache_salt = fields.string("cache_salt");
  call.n = fields.integer("n").value_or(1);
  if (call.n < 1 || call.n > limits.max_n) {
    throw_bad_request("n", "`n` is {}, must lie in [1, {}]", call.n, limits.max_n);
  }
  if (const auto best_of = fields.integer("best_of"); best_of && *best_of != call.n) {
    throw_bad_request("best_of", "`best_of` is {}, must be equal to `n` ({})", *best_of, call.n);
  }
  fields.string("user");
  fields.string("request_id");
  refuse_later_features(fields);
}

// The ranges: those of the engine, by the engine's own check.
void check_settings(const RequestLimits& limits, CallSettings& call) {
  SamplingLimits engine_limits;
  engine_limits.vocab_size = limits.vocab_size;
  engine_limits.max_logprobs = limits.max_logprobs;
  engine_limits.has_priorities = limits.has_priorities;
  try {
    call.params = checked_sampling_params(std::move(call.params), engine_limits);
  } catch (const Error& error) {
    throw api_error_of(error);
  }
  if (call.n > 1 && is_greedy(call.params)) {
    throw_bad_request("n", "`n` is {}, must be 1 when the temperature is 0: all answers would be the same",
                      call.n);
  }
}

void check_prompt_bytes(const char* field, std::size_t num_bytes, const RequestLimits& limits) {
  if (num_bytes <= limits.max_prompt_bytes) return;
  throw_too_long(field, limits.max_model_len,
                 fmt::format("`{}` has a text of {} bytes, which cannot fit; at most {} bytes are read",
                             field, num_bytes, limits.max_prompt_bytes));
}

std::vector<std::int32_t> parse_prompt_tokens(const Json& list, const RequestLimits& limits) {
  Json holder = Json::object();
  const TreeScope scope(holder);
  holder["prompt"] = list;
  auto tokens = RequestFields(holder).token_ids("prompt", kMaxTokens);
  for (const std::int32_t token : tokens) check_token("prompt", token, limits);
  return tokens;
}

PromptInput parse_prompt(const Json& value, const RequestLimits& limits) {
  PromptInput prompt;
  if (value.is_string()) {
    prompt.text = value.get<std::string>();
    check_prompt_bytes("prompt", prompt.text.size(), limits);
  } else if (value.is_array()) {
    prompt.tokens = parse_prompt_tokens(value, limits);
  } else {
    throw_bad_request("prompt", "`prompt` holds {}, must hold strings or lists of token ids", show(value));
  }
  if (prompt.text.empty() && prompt.tokens.empty()) throw_bad_request("prompt", "`prompt` is empty");
  return prompt;
}

std::vector<PromptInput> parse_prompts(const RequestFields& fields, const RequestLimits& limits) {
  const Json* value = fields.find("prompt");
  if (value == nullptr) fields.fail("prompt", "a string, a list of strings, or token ids");
  if (!value->is_array() || (!value->empty() && value->front().is_number()))
    return {parse_prompt(*value, limits)};
  if (value->empty()) throw_bad_request("prompt", "`prompt` is empty");
  std::vector<PromptInput> prompts;
  for (const Json& entry : *fields.array("prompt", limits.max_prompts))
    prompts.push_back(parse_prompt(entry, limits));
  return prompts;
}

OrderedJson ordered(const Json& value) { return OrderedJson::parse(value.dump()); }

// A part of a message's content, as templates read it. Only text is; a refusal is the text that it says.
OrderedJson parse_part(const Json& value, const std::string& path) {
  if (!value.is_object()) throw_bad_request(path, "`{}` must be an object, got {}", path, show(value));
  const RequestFields part(value, path + ".");
  const std::string type = part.string("type").value_or("");
  // The two others are what OpenAI's Responses call a text that came in or went out.
  if (type != "text" && type != "refusal" && type != "input_text" && type != "output_text")
    part.fail("type", "\"text\" or \"refusal\": this model reads text only");
  const char* name = type == "refusal" ? "refusal" : "text";
  const auto text = part.string(name);
  if (!text) part.fail(name, "a string");
  // Member by member, as lists of them would be trees that end here; and from an object on, as null becomes a
  // broken one where there is no memory for it.
  OrderedJson read = OrderedJson::object();
  read["type"] = "text";
  read["text"] = *text;
  return read;
}

// A string, or a list of parts.
OrderedJson parse_content(const RequestFields& message, bool may_be_absent) {
  const Json* content = message.find("content");
  if (content == nullptr) {
    const auto refusal = message.string("refusal");
    if (refusal || may_be_absent) return refusal.value_or("");
    message.fail("content", "a string or a list of parts");
  }
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) message.fail("content", "a string or a list of parts");
  OrderedJson parts = OrderedJson::array();
  for (const Json& part : *message.array("content", kMaxParts)) {
    parts.push_back(parse_part(part, message.path_of("content") + fmt::format("[{}]", parts.size())));
  }
  return parts;
}

std::size_t content_bytes(const OrderedJson& content) {
  if (content.is_string()) return content.get_ref<const std::string&>().size();
  std::size_t num_bytes = 0;
  for (const OrderedJson& part : content) num_bytes += part["text"].get_ref<const std::string&>().size();
  return num_bytes;
}

// Role and content as every template expects them, and what else templates read, as it came.
OrderedJson parse_message(const Json& value, std::size_t idx) {
  const std::string path = fmt::format("messages[{}].", idx);
  if (!value.is_object())
    throw_bad_request("messages", "`messages` holds {}, must hold objects", show(value));
  const RequestFields fields(value, path);
  const std::string role = fields.string("role").value_or("");
  constexpr std::array<std::string_view, 5> kTaken = {"system", "developer", "user", "assistant", "tool"};
  if (std::find(kTaken.begin(), kTaken.end(), role) == kTaken.end()) {
    fields.fail("role", "\"system\", \"developer\", \"user\", \"assistant\" or \"tool\"");
  }
  refuse_later_features_of_message(fields);
  const Json* tool_calls = fields.array("tool_calls", kMaxParts);
  OrderedJson message = OrderedJson::object();
  message["role"] = role;
  message["content"] = parse_content(fields, role == "assistant" && tool_calls != nullptr);
  for (const char* name : {"name", "tool_call_id", "reasoning_content", "reasoning", "thinking"}) {
    if (const auto text = fields.string(name)) message[name] = *text;
  }
  if (tool_calls != nullptr && role == "assistant") message["tool_calls"] = ordered(*tool_calls);
  return message;
}

// `bounds_bytes`: what cannot fit into the context is refused before it is tokenised.
OrderedJson parse_messages(const RequestFields& fields, const RequestLimits& limits, bool bounds_bytes) {
  const Json* list = fields.array("messages", limits.max_messages);
  if (list == nullptr) fields.fail("messages", "a list of messages");
  if (list->empty()) throw_bad_request("messages", "`messages` is empty");
  OrderedJson messages = OrderedJson::array();
  std::size_t num_bytes = 0;
  for (std::size_t i = 0; i < list->size(); ++i) {
    messages.push_back(parse_message((*list)[i], i));
    num_bytes += content_bytes(messages.back()["content"]);
    if (bounds_bytes) check_prompt_bytes("messages", num_bytes, limits);
  }
  return messages;
}

OrderedJson parse_template_variables(const RequestFields& fields) {
  if (fields.find("chat_template") != nullptr) {
    throw_bad_request("chat_template",
                      "`chat_template` is refused: this server runs the model's own template only");
  }
  OrderedJson variables = OrderedJson::object();
  if (const Json* kwargs = fields.object("chat_template_kwargs")) {
    for (const char* name : kReservedVariables) {
      if (!kwargs->contains(name)) continue;
      throw_bad_request("chat_template_kwargs", "`chat_template_kwargs` must not hold \"{}\"", name);
    }
    variables = ordered(*kwargs);
  }
  if (const Json* documents = fields.array("documents", kMaxParts))
    variables["documents"] = ordered(*documents);
  if (const auto effort = fields.string("reasoning_effort")) variables["reasoning_effort"] = *effort;
  return variables;
}

}  // namespace

CompletionCall parse_completion_call(const Json& body, const RequestLimits& limits) {
  const RequestFields fields(body);
  CompletionCall call;
  parse_settings(fields, limits, call);
  call.echo = fields.boolean("echo").value_or(false);
  call.params.max_tokens = fields.integer("max_tokens");
  call.has_max_tokens = call.params.max_tokens.has_value();
  if (!call.has_max_tokens) {
    call.params.max_tokens =
        std::min(kDefaultCompletionTokens, limits.defaults.max_tokens.value_or(kDefaultCompletionTokens));
  }
  call.is_scoring = call.echo && call.params.max_tokens == 0;
  if (!call.is_scoring) check_max_tokens("max_tokens", call.params.max_tokens);
  call.params.logprobs = fields.integer("logprobs");
  if (call.echo && call.params.logprobs && !call.shows_prompt_logprobs) {
    call.params.prompt_logprobs = call.params.logprobs;
  }
  call.add_special_tokens = fields.boolean("add_special_tokens").value_or(true);
  check_settings(limits, call);
  call.prompts = parse_prompts(fields, limits);
  return call;
}

ChatCall parse_chat_call(const Json& body, const RequestLimits& limits) {
  const RequestFields fields(body);
  ChatCall call;
  parse_settings(fields, limits, call);
  call.params.max_tokens = fields.integer("max_completion_tokens");
  if (call.params.max_tokens) call.length_field = "max_completion_tokens";
  check_max_tokens("max_completion_tokens", call.params.max_tokens);
  const auto max_tokens = fields.integer("max_tokens");
  check_max_tokens("max_tokens", max_tokens);
  if (!call.params.max_tokens) call.params.max_tokens = max_tokens;
  call.has_max_tokens = call.params.max_tokens.has_value();
  if (!call.has_max_tokens && limits.defaults.max_tokens) {
    call.params.max_tokens = std::max(*limits.defaults.max_tokens, call.params.min_tokens);
  }
  refuse_later_features_of_chat(fields);
  const bool has_logprobs = fields.boolean("logprobs").value_or(false);
  const auto top_logprobs = parse_renamed(fields, "top_logprobs", 0, limits.max_logprobs);
  if (top_logprobs && *top_logprobs != 0 && !has_logprobs) {
    throw_bad_request("top_logprobs", "`top_logprobs` needs `logprobs` to be true");
  }
  if (has_logprobs) call.params.logprobs = top_logprobs.value_or(0);
  call.add_special_tokens = fields.boolean("add_special_tokens").value_or(false);
  call.add_generation_prompt = fields.boolean("add_generation_prompt").value_or(true);
  check_settings(limits, call);
  call.template_variables = parse_template_variables(fields);
  call.messages = parse_messages(fields, limits, true);
  return call;
}

TokenizeCall parse_tokenize_call(const Json& body, const RequestLimits& limits) {
  const RequestFields fields(body);
  TokenizeCall call;
  parse_model(fields, limits);
  call.return_token_strs = fields.boolean("return_token_strs").value_or(false);
  call.add_generation_prompt = fields.boolean("add_generation_prompt").value_or(true);
  call.prompt = fields.string("prompt");
  if (call.prompt.has_value() == (fields.find("messages") != nullptr)) {
    throw_bad_request("prompt", "give either `prompt` or `messages`");
  }
  call.add_special_tokens = fields.boolean("add_special_tokens").value_or(call.prompt.has_value());
  if (!call.prompt) {
    call.template_variables = parse_template_variables(fields);
    call.messages = parse_messages(fields, limits, false);
  }
  return call;
}

std::vector<std::int32_t> parse_detokenize_call(const Json& body, const RequestLimits& limits) {
  const RequestFields fields(body);
  parse_model(fields, limits);
  if (fields.find("tokens") == nullptr) fields.fail("tokens", "a list of token ids");
  auto tokens = fields.token_ids("tokens", kMaxTokens);
  for (const std::int32_t token : tokens) check_token("tokens", token, limits);
  return tokens;
}

}  // namespace quire
