// What a client is told when its request fails: a status, and the error body that OpenAI's clients read.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/error.h"
#include "server/http_message.h"

namespace quire {

class ApiError : public std::runtime_error {
 public:
  // `message` reaches the client: no paths, no addresses. `param` is the field that is wrong, if one is.
  // `code` is a word for programs; without one they get the status. A 501 says that trying again is of no
  // use.
  ApiError(int status, const std::string& message, std::string param = {}, Headers headers = {},
           std::string code = {});

  int status() const { return status_; }
  const std::string& message() const { return message_; }
  const std::string& param() const { return param_; }
  const Headers& headers() const { return headers_; }

  // {"error":{"message":…,"type":…,"param":…,"code":…}}
  std::string body() const;
  std::unique_ptr<Reply> reply() const;

 private:
  int status_;
  std::string message_;  // what() would end at a zero byte, which a client's names may hold
  std::string param_;
  Headers headers_;
  std::string code_;
};

template <class... Args>
[[noreturn]] void throw_bad_request(std::string param, fmt::format_string<Args...> format, Args&&... args) {
  throw ApiError(400, fmt::format(format, std::forward<Args>(args)...), std::move(param));
}

// A prompt, or a prompt with its answer, that the context cannot hold; in the words that clients look for
// when they choose another model or cut the conversation. `what` says what came, e.g. "the prompt has 9
// tokens".
[[noreturn]] void throw_too_long(std::string param, std::int64_t max_model_len, const std::string& what);

// 429, 503: with a Retry-After header.
ApiError retry_later(int status, const std::string& message, int after_s);

// How an error of the libraries looks to a client. Messages of the kinds that blame the caller are passed on,
// since they name field, value and range; of the others only that it happened.
ApiError api_error_of(const Error& error);

// "BadRequestError" and the like.
std::string_view error_type(int status);
std::string_view reason_phrase(int status);

}  // namespace quire
