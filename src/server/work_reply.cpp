#include "server/work_reply.h"

#include <atomic>
#include <exception>
#include <utility>

#include "server/api_error.h"

namespace quire {

// Shared with the worker, which may finish after the connection has gone.
struct WorkReply::Outcome {
  std::atomic<bool> is_done = false;
  ReplyOutput output;

  std::exception_ptr failure;  // there was not even memory for the words

  void fill(const std::function<std::string()>& work) noexcept {
    try {
      answer(work);
    } catch (...) {
      failure = std::current_exception();
    }
    is_done.store(true, std::memory_order_release);
  }

  void answer(const std::function<std::string()>& work) {
    try {
      output = ReadyReply(HttpHead{}, work()).poll();
    } catch (const ApiError& error) {
      output = error.reply()->poll();
    } catch (const std::exception&) {
      output = ApiError(500, "the server failed on this request").reply()->poll();
    }
  }
};

WorkReply::WorkReply(std::function<std::string()> work, bool is_long, const WorkContext& context, Waker wake)
    : outcome_(std::make_shared<Outcome>()), deadline_(context.deadline) {
  if (!is_long) {
    outcome_->fill(work);
    return;
  }
  ticket_ = context.admission->enter(context.client, 1, 0);
  auto job = [outcome = outcome_, work = std::move(work), wake = std::move(wake)] {
    outcome->fill(work);
    wake();
  };
  place_ = context.workers->post(context.client, std::move(job));
}

ReplyOutput WorkReply::poll() {
  if (outcome_->is_done.load(std::memory_order_acquire)) {
    if (outcome_->failure) std::rethrow_exception(outcome_->failure);
    return std::move(outcome_->output);
  }
  if (Clock::now() >= deadline_) {
    place_ = {};
    return ApiError(504, "the request waited in the queue for too long").reply()->poll();
  }
  ReplyOutput output;
  output.wake_at = deadline_;
  return output;
}

}  // namespace quire
