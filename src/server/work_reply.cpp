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

WorkReply::WorkReply(std::function<std::string()> work, bool is_long, WorkerPool& workers, Waker wake)
    : outcome_(std::make_shared<Outcome>()) {
  if (!is_long) {
    outcome_->fill(work);
    return;
  }
  workers.post([outcome = outcome_, work = std::move(work), wake = std::move(wake)] {
    outcome->fill(work);
    wake();
  });
}

ReplyOutput WorkReply::poll() {
  if (!outcome_->is_done.load(std::memory_order_acquire)) return {};
  if (outcome_->failure) std::rethrow_exception(outcome_->failure);
  return std::move(outcome_->output);
}

}  // namespace quire
