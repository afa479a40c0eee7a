// Any body is either a call whose values lie in their ranges, or an ApiError with a status that blames the
// client. The first byte chooses the endpoint. What is taken is used as the server would: sizes and ranges
// must hold.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/api_error.h"
#include "server/http_wire.h"
#include "server/request_fields.h"
#include "server/request_schema.h"

namespace {

void require(bool condition) {
  if (!condition) __builtin_trap();
}

quire::RequestLimits limits() {
  quire::RequestLimits limits;
  limits.model_names = {"m"};
  limits.vocab_size = 100;
  limits.max_model_len = 64;
  limits.max_prompt_bytes = 4096;
  limits.has_priorities = true;
  return limits;
}

void check_settings(const quire::CallSettings& call) {
  const quire::SamplingParams& params = call.params;
  require(call.n >= 1 && call.n <= 128);
  require(params.temperature >= 0 && params.temperature <= 2);
  require(params.top_p > 0 && params.top_p <= 1);
  require(std::isfinite(params.repetition_penalty) && params.repetition_penalty > 0);
  require(params.stop.size() <= 4 && params.logit_bias.size() <= 1024);
  for (const auto& [token, bias] : params.logit_bias)
    require(token >= 0 && token < 100 && std::abs(bias) <= 100);
  require(!params.max_tokens || *params.max_tokens >= 1);
}

void use(int endpoint, std::string_view body) {
  const quire::Json parsed = quire::parse_request_body(body);
  switch (endpoint) {
    case 0: {
      const auto call = quire::parse_completion_call(parsed, limits());
      check_settings(call);
      require(!call.prompts.empty() && call.prompts.size() <= 1024);
      for (const auto& prompt : call.prompts)
        require(prompt.text.size() <= 4096 && (!prompt.text.empty() || !prompt.tokens.empty()));
      break;
    }
    case 1: {
      const auto call = quire::parse_chat_call(parsed, limits());
      check_settings(call);
      require(!call.messages.empty());
      for (const auto& message : call.messages) {
        require(message.at("role").is_string());
        const auto& content = message.at("content");
        require(content.is_string() || content.is_array());
        if (!content.is_array()) continue;
        for (const auto& part : content) require(part.at("text").is_string());
      }
      break;
    }
    case 2:
      quire::parse_tokenize_call(parsed, limits());
      break;
    default:
      for (const std::int32_t token : quire::parse_detokenize_call(parsed, limits()))
        require(token >= 0 && token < 100);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t num_bytes) {
  if (num_bytes == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, num_bytes - 1);
  quire::decode_path(body);
  try {
    use(data[0] % 4, body);
  } catch (const quire::ApiError& error) {
    const int status = error.status();
    require(status == 400 || status == 404 || status == 501);
    const quire::Json code = quire::Json::parse(error.body())["error"]["code"];
    require(code == status || code == "context_length_exceeded");
  }
  return 0;
}
