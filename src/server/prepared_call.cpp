#include "server/prepared_call.h"

#include <algorithm>

#include "server/api_error.h"
#include "server/json_text.h"
#include "server/request_fields.h"

namespace quire {
namespace {

// What the text of `field` does to a template or a tokenizer is the field's fault, never the server's.
template <class Encode>
std::vector<std::int32_t> encode_field(const char* field, Encode encode) {
  try {
    return encode();
  } catch (const Error& error) {
    const ErrorKind kind = error.kind();
    if (kind == ErrorKind::kInvalidArgument || kind == ErrorKind::kExhausted ||
        kind == ErrorKind::kUnsupported) {
      throw ApiError(400, error.what(), field);
    }
    throw;
  }
}

std::vector<std::int32_t> encode_messages(const OrderedJson& messages, bool add_generation_prompt,
                                          const OrderedJson& variables, const ServedModel& model) {
  if (!model.encode_chat) {
    throw ApiError(400, "this model has no chat template that this build can use; use /v1/completions",
                   "messages");
  }
  return encode_field("messages",
                      [&] { return model.encode_chat(messages, add_generation_prompt, variables); });
}

// A prompt of completions is the whole text that the model reads, written by the caller, who could as well
// send token ids: special tokens in it are meant.
std::vector<std::int32_t> encode_prompt(const std::string& text, bool add_special_tokens,
                                        const ServedModel& model) {
  const EncodeOptions options = {.add_special_tokens = add_special_tokens, .parse_special = true};
  return encode_field("prompt", [&] { return model.tokenizer->encode(text, options); });
}

PreparedCall prepare_completion(const Json& body, const ServedModel& model) {
  CompletionCall call = parse_completion_call(body, model.limits);
  PreparedCall prepared;
  prepared.kind = CallKind::kCompletion;
  prepared.echo = call.echo;
  prepared.is_scoring = call.is_scoring;
  for (PromptInput& prompt : call.prompts) {
    if (prompt.tokens.empty()) {
      prepared.prompts.push_back(encode_prompt(prompt.text, call.add_special_tokens, model));
    } else {
      prepared.prompts.push_back(std::move(prompt.tokens));
      if (call.echo) prompt.text = model.tokenizer->decode(prepared.prompts.back(), false);
    }
    prepared.prompt_texts.push_back(call.echo ? std::move(prompt.text) : std::string());
  }
  prepared.settings = std::move(static_cast<CallSettings&>(call));
  return prepared;
}

PreparedCall prepare_chat(const Json& body, const ServedModel& model) {
  ChatCall call = parse_chat_call(body, model.limits);
  const TreeScope messages(call.messages), variables(call.template_variables);
  PreparedCall prepared;
  prepared.kind = CallKind::kChat;
  prepared.prompts.push_back(
      encode_messages(call.messages, call.add_generation_prompt, call.template_variables, model));
  prepared.prompt_texts.emplace_back();
  prepared.settings = std::move(static_cast<CallSettings&>(call));
  return prepared;
}

// The engine would stop at the end of the context in silence; who asks for more than fits should know.
void check_lengths(const PreparedCall& call, const ServedModel& model) {
  const std::int64_t limit = model.limits.max_model_len;
  const char* field = call.kind == CallKind::kChat ? "messages" : "prompt";
  for (const auto& prompt : call.prompts) {
    const auto prompt_len = static_cast<std::int64_t>(prompt.size());
    const auto& wanted = call.settings.params.max_tokens;
    const bool is_explicit = call.settings.has_max_tokens && !call.is_scoring;
    // A prompt that is only scored needs no place for an answer.
    const std::int64_t most = call.is_scoring ? limit : limit - 1;
    if (prompt_len > most || (is_explicit && prompt_len + *wanted > limit)) {
      throw_too_long(prompt_len > most ? field : call.settings.length_field, limit,
                     fmt::format("the prompt has {} tokens and the answer may have {}", prompt_len,
                                 call.is_scoring ? 0
                                 : is_explicit   ? *wanted
                                                 : 1));
    }
    if (prompt.empty()) throw_bad_request(field, "the prompt has no tokens");
  }
}

template <class Prepare>
auto with_api_errors(Prepare prepare) {
  try {
    return prepare();
  } catch (const Error& error) {
    // Neither text nor template of a request may look like a fault of the server.
    if (error.kind() == ErrorKind::kExhausted || error.kind() == ErrorKind::kUnsupported)
      throw ApiError(400, error.what());
    throw api_error_of(error);
  }
}

}  // namespace

PreparedCall prepare_call(CallKind kind, std::string_view body, const ServedModel& model) {
  return with_api_errors([&] {
    Json parsed = parse_request_body(body);
    const TreeScope scope(parsed);
    PreparedCall call =
        kind == CallKind::kChat ? prepare_chat(parsed, model) : prepare_completion(parsed, model);
    check_lengths(call, model);
    return call;
  });
}

std::string tokenize(std::string_view body, const ServedModel& model) {
  return with_api_errors([&] {
    Json parsed = parse_request_body(body);
    const TreeScope scope(parsed);
    TokenizeCall call = parse_tokenize_call(parsed, model.limits);
    const TreeScope messages(call.messages), variables(call.template_variables);
    const auto tokens = call.prompt ? encode_prompt(*call.prompt, call.add_special_tokens, model)
                                    : encode_messages(call.messages, call.add_generation_prompt,
                                                      call.template_variables, model);
    JsonText answer;
    answer.begin('{').member("count", tokens.size()).member("max_model_len", model.limits.max_model_len);
    answer.key("tokens").numbers(tokens);
    if (call.return_token_strs) {
      answer.key("token_strs").begin('[');
      for (const std::int32_t token : tokens) answer.text(model.tokenizer->token_text(token).value_or(""));
      answer.end(']');
    }
    return answer.end('}').take() + "\n";
  });
}

std::string detokenize(std::string_view body, const ServedModel& model) {
  return with_api_errors([&] {
    Json parsed = parse_request_body(body);
    const TreeScope scope(parsed);
    const auto tokens = parse_detokenize_call(parsed, model.limits);
    return JsonText().begin('{').member("prompt", model.tokenizer->decode(tokens, false)).end('}').take() +
           "\n";
  });
}

}  // namespace quire
