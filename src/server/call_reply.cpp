#include "server/call_reply.h"

#include <charconv>
#include <chrono>
#include <cmath>
#include <exception>
#include <utility>

namespace quire {
namespace {

// The deadline that the server sets, or an earlier one that the client asks for.
double timeout_of(const HttpRequest& request, double limit_s) {
  const std::string* header = request.header("x-request-timeout");
  if (header == nullptr) return limit_s;
  double wanted_s = 0;
  const char* end = header->data() + header->size();
  const auto result = std::from_chars(header->data(), end, wanted_s);
  if (result.ec != std::errc() || result.ptr != end || !(wanted_s > 0) || wanted_s > 1e6) {
    throw ApiError(400, "X-Request-Timeout must be a number of seconds above 0");
  }
  return limit_s > 0 ? std::min(limit_s, wanted_s) : wanted_s;
}

// The X- header tells nginx not to hold events back.
HttpHead stream_head() {
  return {200, "text/event-stream", {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}, true};
}

std::int64_t unix_time_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

// Shared with the worker pool, which may finish after the connection has gone.
struct CallReply::Preparation {
  std::string body;
  std::shared_ptr<const void> body_hold;
  std::atomic<bool> is_done = false;
  PreparedCall call;
  std::exception_ptr error;

  void run(CallKind kind, const ServedModel& model) {
    try {
      call = prepare_call(kind, body, model);
    } catch (...) {
      error = std::current_exception();
    }
    body = {};
    body_hold.reset();
    is_done.store(true, std::memory_order_release);
  }
};

CallReply::CallReply(CallContext context, CallIdentity identity, CallKind kind, HttpRequest request,
                     Waker wake)
    : context_(std::move(context)),
      identity_(std::move(identity)),
      wake_(std::move(wake)),
      arrival_(request.arrival),
      deadline_(Clock::time_point::max()),
      first_token_deadline_(Clock::time_point::max()),
      queue_deadline_(Clock::time_point::max()),
      last_sent_(request.arrival),
      preparation_(std::make_shared<Preparation>()) {
  ticket_ = context_.admission->enter(identity_.client, 1, 0);
  const CallOptions& options = *context_.options;
  const double timeout_s = timeout_of(request, options.request_timeout_s);
  if (timeout_s > 0) deadline_ = arrival_ + to_duration(timeout_s);
  if (options.first_token_timeout_s > 0)
    first_token_deadline_ = arrival_ + to_duration(options.first_token_timeout_s);
  if (options.queue_timeout_s > 0) queue_deadline_ = arrival_ + to_duration(options.queue_timeout_s);
  preparation_->body = std::move(request.body);
  preparation_->body_hold = std::move(request.body_hold);
  if (preparation_->body.size() <= options.max_inline_body_bytes) {
    preparation_->run(kind, *context_.model);
    return;
  }
  const auto work = [preparation = preparation_, kind, model = context_.model, wake = wake_] {
    preparation->run(kind, *model);
    wake();
  };
  place_ = context_.workers->post(identity_.client, work);
}

ReplyOutput CallReply::poll() {
  try {
    return advance();
  } catch (const ApiError& error) {
    return failure(error);
  } catch (const Error& error) {
    return failure(api_error_of(error));
  } catch (const std::exception&) {
    return failure(ApiError(500, "the server failed on this request"));
  }
}

ReplyOutput CallReply::advance() {
  const Clock::time_point now = Clock::now();
  ReplyOutput output;
  if (!answers_) {
    if (!preparation_->is_done.load(std::memory_order_acquire)) {
      check_time(now);
      output.wake_at = next_deadline();
      return output;
    }
    start();
  }
  if (*context_.is_aborting && !std::exchange(is_cancelled_, true)) answers_->cancel();
  check_time(now);
  if (answers_->has_failed()) throw ApiError(500, "the server ran out of memory on this request");
  if (answers_->has_overflowed()) throw ApiError(408, "the client reads too slowly");
  output.wake_at = next_deadline();
  deliver(output);
  if (is_stream_ && !output.is_last) ping(output, now);
  return output;
}

void CallReply::start() {
  if (preparation_->error) std::rethrow_exception(preparation_->error);
  PreparedCall call = std::move(preparation_->call);
  call.settings.params.cache_salt = identity_.cache_salt(call.settings.params.cache_salt);
  is_stream_ = call.settings.stream;
  num_running_ = call.num_answers();
  std::int64_t num_tokens = 0;
  for (const auto& prompt : call.prompts)
    num_tokens += static_cast<std::int64_t>(prompt.size()) * call.settings.n;
  ticket_.grow_to(static_cast<std::int64_t>(num_running_), num_tokens);
  format_.emplace(call, *context_.model, identity_.request_id, unix_time_s());
  const AnswerSetOptions options = {is_stream_, is_stream_ ? context_.options->max_pending_bytes : 0};
  answers_ = std::make_unique<AnswerSet>(*context_.model, call, options, *context_.metrics, wake_);
  context_.metrics->observe_call(call.settings.n);
}

Clock::time_point CallReply::next_deadline() const {
  return std::min({deadline_, first_token_deadline_, queue_deadline_});
}

void CallReply::check_time(Clock::time_point now) {
  if (now >= queue_deadline_) {
    if (!answers_ || !answers_->has_begun()) {
      throw ApiError(504, fmt::format("the request waited in the queue for {:.3f} s",
                                      std::chrono::duration<double>(now - arrival_).count()));
    }
    queue_deadline_ = Clock::time_point::max();
  }
  const bool is_late_to_begin = now >= first_token_deadline_ && !(answers_ && answers_->has_started());
  if (now < deadline_ && !is_late_to_begin) return;
  throw ApiError(504, fmt::format("the deadline of the request passed after {:.3f} s",
                                  std::chrono::duration<double>(now - arrival_).count()));
}

void CallReply::deliver(ReplyOutput& output) {
  for (AnswerPiece& piece : answers_->take()) {
    if (piece.output.finish_reason == FinishReason::kError)
      throw ApiError(500, "the model failed on this request");
    ticket_.begin();
    num_running_ -= piece.output.is_last();
    if (is_stream_) {
      output.body += format_->events(piece);
    } else {
      format_->collect(std::move(piece));
    }
  }
  output.is_last = num_running_ == 0;
  if (answers_->has_started()) {
    first_token_deadline_ = queue_deadline_ = Clock::time_point::max();
    output.wake_at = deadline_;
  }
  if (is_stream_) {
    if (output.is_last) output.body += format_->last_events();
    if (!output.body.empty() && !std::exchange(has_head_, true)) {
      output.head = stream_head();
    }
  } else if (output.is_last) {
    output.head = HttpHead{};
    output.body = format_->body();
  }
  if (output.is_last) answers_.reset();
}

// Proxies close connections on which nothing comes for long.
void CallReply::ping(ReplyOutput& output, Clock::time_point now) {
  const Clock::duration silence = to_duration(context_.options->ping_s);
  if (!output.body.empty()) {
    last_sent_ = now;
  } else if (now - last_sent_ >= silence) {
    last_sent_ = now;
    output.body = ": ping\n\n";
    if (!std::exchange(has_head_, true)) {
      output.head = stream_head();
    }
  }
  output.wake_at = std::min(output.wake_at, last_sent_ + silence);
}

ReplyOutput CallReply::failure(const ApiError& error) {
  answers_.reset();
  place_ = {};
  if (!has_head_) return error.reply()->poll();
  std::string body = error.body();
  body.pop_back();
  ReplyOutput output;
  output.body = "data: " + body + "\n\ndata: [DONE]\n\n";
  output.is_last = true;
  return output;
}

}  // namespace quire
