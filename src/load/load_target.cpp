#include "load/load_target.h"

#include "base/check.h"
#include "load/answer_event.h"
#include "load/event_stream.h"

namespace quire {
namespace {

namespace http = boost::beast::http;

constexpr std::size_t kMaxErrorChars = 120, kMaxBodyBytes = 16u << 20;

std::string first_line(const std::string& text) {
  std::string line = text.substr(0, std::min(text.find('\n'), kMaxErrorChars));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';  // what a server says must not steer a terminal
  }
  return line;
}

// The words of an error body: {"error": {"message": …}}, or what there is.
std::string error_words(const std::string& body) {
  try {
    if (std::string words = parse_answer_event(body).error; !words.empty()) return words;
  } catch (const Error&) {
    // not JSON: its first line will do
  }
  return body;
}

// One request in flight.
class Streamed : public std::enable_shared_from_this<Streamed> {
 public:
  Streamed(const StreamedCall& call, double intended_s) : call_(call) {
    record_.intended_s = intended_s;
    record_.sent_s = call.clock_s();
  }

  void start(HttpCall::Request request) {
    const auto self = shared_from_this();
    HttpCall::Handlers handlers;
    handlers.on_head = [self](const HttpAnswerHead& head) { self->take_head(head); };
    handlers.on_body = [self](std::string_view bytes) { self->take_body(bytes); };
    handlers.on_end = [self](CallEnd end, const std::string& error) { self->take_end(end, error); };
    std::make_shared<HttpCall>(call_.pool, std::move(request), std::move(handlers))
        ->start(call_.target.timeout_s);
  }

 private:
  void take_head(const HttpAnswerHead& head) {
    record_.status = head.status;
    record_.retry_after_s = head.retry_after_s;
    is_stream_ = head.status == 200 && head.is_event_stream;
  }

  void take_body(std::string_view bytes) {
    if (!is_stream_) {
      QUIRE_CHECK_KIND(kExhausted, body_.size() + bytes.size() <= kMaxBodyBytes,
                       "an answer has more than {} bytes", kMaxBodyBytes);
      body_ += bytes;
      return;
    }
    const double now_s = call_.clock_s();
    events_.feed(bytes, [&](std::string_view data) {
      if (data.starts_with("[DONE]")) {
        is_done_ = true;
      } else {
        take_event(data, now_s);
      }
    });
  }

  void take_event(std::string_view data, double now_s) {
    AnswerEvent event = parse_answer_event(data);
    if (!event.error.empty()) error_ = event.error;
    is_done_ = is_done_ || event.is_finished;
    if (event.output_len) {
      record_.has_usage = true;
      record_.output_len = *event.output_len;
      record_.prompt_len = event.prompt_len.value_or(0);
      record_.cached_len = event.cached_len.value_or(0);
    }
    if (event.text.empty()) {
      // An answer of one token may have no text at all (a special token): then its end counts.
      if (event.is_finished && num_texts_ == 0) record_.first_s = record_.last_s = now_s;
      return;
    }
    if (num_texts_++ == 0) {
      record_.first_s = now_s;
    } else {
      record_.gaps_s.push_back(static_cast<float>(now_s - record_.last_s));
    }
    record_.last_s = now_s;
    answer_ += event.text;
  }

  void take_end(CallEnd end, const std::string& error) {
    record_.end_s = call_.clock_s();
    if (end == CallEnd::kComplete && record_.status == 200 && !is_stream_) take_whole_answer();
    if (!record_.has_usage) record_.output_len = num_texts_;
    if (end == CallEnd::kNoConnection) {
      set_failure(LoadOutcome::kNoConnection, error);
    } else if (end == CallEnd::kTimeout) {
      set_failure(LoadOutcome::kTimeout, error);
    } else if (record_.status != 200 && record_.status != 0) {
      set_failure(record_.status == 429 ? LoadOutcome::kRefused : LoadOutcome::kHttpError,
                  error_words(body_));
    } else if (!error_.empty() || end == CallEnd::kBroken || !is_done_) {
      set_failure(LoadOutcome::kBroken, !error_.empty() ? error_ : !error.empty() ? error : "ended early");
    } else {
      record_.outcome = LoadOutcome::kOk;
    }
    call_.on_done(std::move(record_), std::move(answer_));
  }

  void set_failure(LoadOutcome outcome, const std::string& words) {
    record_.outcome = outcome;
    record_.error = first_line(words);
  }

  // A server that does not stream: one event, at the end.
  void take_whole_answer() {
    try {
      take_event(body_, record_.end_s);
    } catch (const Error& e) {
      error_ = e.what();
    }
  }

  const StreamedCall call_;
  LoadRecord record_;
  EventStream events_;
  std::string body_, answer_, error_;
  std::int64_t num_texts_ = 0;
  bool is_stream_ = false, is_done_ = false;
};

void set_headers(HttpCall::Request& request, const LoadTarget& target) {
  request.set(http::field::host, target.url.authority());
  request.set(http::field::user_agent, "quire-bench");
  if (!target.api_key.empty()) request.set(http::field::authorization, "Bearer " + target.api_key);
}

std::string joined(const std::vector<Message>& messages) {
  std::string text;
  for (const Message& message : messages) text += (text.empty() ? "" : "\n") + message.text;
  return text;
}

}  // namespace

std::string path_of(const HttpUrl& url, const std::string& endpoint) {
  return url.path.ends_with("/v1") ? url.path + endpoint : url.path + "/v1" + endpoint;
}

HttpCall::Request make_request(const LoadTarget& target, const std::vector<Message>& messages,
                               int output_len) {
  Json body = {{"model", target.model},
               {"max_tokens", output_len},
               {"temperature", target.temperature},
               {"stream", true},
               {"stream_options", {{"include_usage", true}}}};
  if (target.ignores_eos) body["ignore_eos"] = true;
  if (target.is_chat) {
    Json list = Json::array();
    for (const Message& message : messages)
      list.push_back({{"role", message.role}, {"content", message.text}});
    body["messages"] = std::move(list);
  } else {
    body["prompt"] = joined(messages);
  }
  body.update(target.more);
  HttpCall::Request request(http::verb::post,
                            path_of(target.url, target.is_chat ? "/chat/completions" : "/completions"), 11);
  set_headers(request, target);
  request.set(http::field::content_type, "application/json");
  request.set(http::field::accept, "text/event-stream");
  request.body() =
      body.dump(-1, ' ', false, Json::error_handler_t::replace);  // answers may hold half characters
  request.prepare_payload();
  return request;
}

void start_streamed(const StreamedCall& call, HttpCall::Request request, double intended_s) {
  std::make_shared<Streamed>(call, intended_s)->start(std::move(request));
}

std::string get_now(const LoadTarget& target, const std::string& endpoint) {
  boost::asio::io_context io(1);
  ConnectionPool pool(io, target.url);
  HttpCall::Request request(http::verb::get, path_of(target.url, endpoint), 11);
  set_headers(request, target);
  std::string body, failure;
  int status = 0;
  CallEnd how = CallEnd::kBroken;
  HttpCall::Handlers handlers;
  handlers.on_head = [&](const HttpAnswerHead& head) { status = head.status; };
  handlers.on_body = [&](std::string_view bytes) {
    body += bytes;
    QUIRE_CHECK_KIND(kExhausted, body.size() <= kMaxBodyBytes, "an answer has more than {} bytes",
                     kMaxBodyBytes);
  };
  handlers.on_end = [&](CallEnd end, const std::string& error) { how = end, failure = error; };
  std::make_shared<HttpCall>(pool, std::move(request), std::move(handlers))
      ->start(std::min(30.0, target.timeout_s));
  io.run();
  QUIRE_CHECK_KIND(kExhausted, how == CallEnd::kComplete, "no answer from http://{}{}: {}",
                   target.url.authority(), path_of(target.url, endpoint),
                   how == CallEnd::kTimeout ? "timeout" : first_line(failure));
  QUIRE_CHECK(status == 200, "http://{}{} answered {}: {}", target.url.authority(),
              path_of(target.url, endpoint), status, first_line(error_words(body)));
  return body;
}

std::string find_model(const LoadTarget& target) {
  const std::string body = get_now(target, "/models");
  try {
    const Json list = parse_json(body, "the list of models");
    return list.at("data").at(0).at("id").get<std::string>();
  } catch (const std::exception&) {
    throw_error(ErrorKind::kInvalidArgument, "/v1/models names no model; name one with --model");
  }
}

}  // namespace quire
