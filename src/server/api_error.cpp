#include "server/api_error.h"

#include <utility>

#include "server/json_text.h"

namespace quire {
namespace {

struct StatusWords {
  int status;
  std::string_view phrase, type;
};

constexpr StatusWords kStatuses[] = {
    {200, "OK", ""},
    {204, "No Content", ""},
    {400, "Bad Request", "BadRequestError"},
    {401, "Unauthorized", "AuthenticationError"},
    {403, "Forbidden", "PermissionDeniedError"},
    {404, "Not Found", "NotFoundError"},
    {405, "Method Not Allowed", "MethodNotAllowedError"},
    {408, "Request Timeout", "RequestTimeoutError"},
    {413, "Payload Too Large", "PayloadTooLargeError"},
    {415, "Unsupported Media Type", "UnsupportedMediaTypeError"},
    {417, "Expectation Failed", "ExpectationFailedError"},
    {429, "Too Many Requests", "RateLimitError"},
    {431, "Request Header Fields Too Large", "HeaderFieldsTooLargeError"},
    {500, "Internal Server Error", "InternalServerError"},
    {501, "Not Implemented", "NotImplementedError"},
    {503, "Service Unavailable", "ServiceUnavailableError"},
    {504, "Gateway Timeout", "TimeoutError"},
    {505, "HTTP Version Not Supported", "VersionNotSupportedError"},
};

const StatusWords& words_of(int status) {
  for (const StatusWords& words : kStatuses) {
    if (words.status == status) return words;
  }
  return words_of(500);
}

// "temperature is 3, must lie in [0, 2]" -> "temperature"
std::string leading_field(std::string_view message) {
  const std::size_t end = message.find_first_not_of("abcdefghijklmnopqrstuvwxyz_");
  return end == std::string_view::npos || message[end] != ' ' ? "" : std::string(message.substr(0, end));
}

}  // namespace

std::string_view error_type(int status) { return words_of(status).type; }
std::string_view reason_phrase(int status) { return words_of(status).phrase; }

ApiError::ApiError(int status, const std::string& message, std::string param, Headers headers,
                   std::string code)
    : std::runtime_error(message),
      status_(status),
      message_(message),
      param_(std::move(param)),
      headers_(std::move(headers)),
      code_(std::move(code)) {
  // OpenAI's clients try again whatever has a status from 500 on, unless they are told not to.
  if (status == 501) headers_.emplace_back("X-Should-Retry", "false");
}

std::string ApiError::body() const {
  JsonText out;
  out.begin('{').key("error").begin('{').key("code");
  code_.empty() ? out.number(status_) : out.text(code_);
  out.member("message", message_).key("param");
  param_.empty() ? out.null() : out.text(param_);
  return out.member("type", error_type(status_)).end('}').end('}').take() + "\n";
}

std::unique_ptr<Reply> ApiError::reply() const {
  return std::make_unique<ReadyReply>(HttpHead{status_, "application/json", headers_, false}, body());
}

void throw_too_long(std::string param, std::int64_t max_model_len, const std::string& what) {
  throw ApiError(
      400, fmt::format("This model's maximum context length is {} tokens. However, {}.", max_model_len, what),
      std::move(param), {}, "context_length_exceeded");
}

ApiError retry_later(int status, const std::string& message, int after_s) {
  return ApiError(status, message, {}, {{"Retry-After", std::to_string(after_s)}});
}

ApiError api_error_of(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::kInvalidArgument:
      return ApiError(400, error.what(), leading_field(error.what()));
    case ErrorKind::kUnsupported:
      return ApiError(501, error.what());
    case ErrorKind::kExhausted:
      return retry_later(429, error.what(), 1);
    case ErrorKind::kNotFound:
    case ErrorKind::kCorruptFile:
    case ErrorKind::kInternal:
      break;
  }
  return ApiError(500, "the server failed on this request");
}

}  // namespace quire
