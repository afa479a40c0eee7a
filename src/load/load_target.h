// The server under load, and one streamed request to it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "load/http_call.h"
#include "load/load_record.h"

namespace quire {

struct LoadTarget {
  HttpUrl url;
  std::string api_key;  // empty: none is sent
  std::string model;
  bool is_chat = true;  // else /v1/completions
  double temperature = 0;
  bool ignores_eos = true;     // answers of exactly the length asked for; a vLLM extension
  Json more = Json::object();  // further fields of each request's body
  double timeout_s = 600;
};

struct Message {
  const char* role;
  std::string text;
};

// The path below the URL's own: a URL that ends in /v1 is taken as such.
std::string path_of(const HttpUrl& url, const std::string& endpoint);

HttpCall::Request make_request(const LoadTarget& target, const std::vector<Message>& messages,
                               int output_len);

// Sends the request and fills a record in: `clock_s` gives seconds since the stage began. `on_done` receives
// the record and the text of the answer, once.
struct StreamedCall {
  const LoadTarget& target;
  ConnectionPool& pool;
  std::function<double()> clock_s;
  std::function<void(LoadRecord, std::string answer)> on_done;
};
void start_streamed(const StreamedCall& call, HttpCall::Request request, double intended_s);

// GET below the URL, waiting for the answer: its body. Throws Error{kExhausted} if there is none,
// {kInvalidArgument} for a status that is not 200.
std::string get_now(const LoadTarget& target, const std::string& endpoint);

// The first model that GET /v1/models names.
std::string find_model(const LoadTarget& target);

}  // namespace quire
