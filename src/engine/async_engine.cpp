#include "engine/async_engine.h"

#include <exception>
#include <utility>

#include "base/check.h"

namespace quire {

AsyncEngine::AsyncEngine(std::unique_ptr<StepEngine> engine, int max_num_requests)
    : engine_(std::move(engine)), max_num_requests_(max_num_requests), mailbox_(std::make_shared<Mailbox>()) {
  QUIRE_CHECK(max_num_requests >= 1, "max_num_requests is {}, must be at least 1", max_num_requests);
  mailbox_->stats = engine_->stats();
  thread_ = std::thread([this] { drive(); });
}

AsyncEngine::~AsyncEngine() {
  {
    const std::lock_guard lock(mailbox_->mutex);
    mailbox_->is_closing = true;
  }
  mailbox_->changed.notify_all();
  thread_.join();
}

RequestStream AsyncEngine::submit(std::vector<std::int32_t> prompt, const SamplingParams& params,
                                  OutputCallback callback) {
  SamplingParams checked = engine_->check(prompt, params);
  // The stream knows the mailbox and not the engine, and only as long as it exists.
  auto on_cancel = [weak = std::weak_ptr<Mailbox>(mailbox_)](RequestId id) {
    if (const auto mailbox = weak.lock()) {
      {
        const std::lock_guard lock(mailbox->mutex);
        mailbox->cancellations.push_back(id);
      }
      mailbox->changed.notify_all();
    }
  };
  std::shared_ptr<OutputQueue> queue;
  {
    const std::lock_guard lock(mailbox_->mutex);
    QUIRE_CHECK_KIND(kInternal, mailbox_->failure.empty(), "the engine has failed: {}", mailbox_->failure);
    QUIRE_CHECK_KIND(kExhausted, mailbox_->num_live < max_num_requests_,
                     "{} requests live, at most {} are allowed", mailbox_->num_live, max_num_requests_);
    queue = std::make_shared<OutputQueue>(mailbox_->next_id++, std::move(callback), std::move(on_cancel));
    mailbox_->submissions.push_back({queue, std::move(prompt), std::move(checked)});
    ++mailbox_->num_live;
  }
  mailbox_->changed.notify_all();
  return RequestStream(std::move(queue));
}

EngineStats AsyncEngine::stats() const {
  const std::lock_guard lock(mailbox_->mutex);
  EngineStats stats = mailbox_->stats;
  stats.num_waiting += static_cast<std::int64_t>(mailbox_->submissions.size());
  return stats;
}

void AsyncEngine::drive() {
  std::string failure;
  try {
    Orders orders;
    while (take_orders(orders)) {
      for (Submission& submission : orders.submissions) start(submission);
      for (const RequestId id : orders.cancellations) cancel(id);
      if (engine_->has_work()) {
        for (StepOutput& output : engine_->step()) deliver(output.id, std::move(output.output));
      }
      publish_stats();
    }
  } catch (const std::exception& error) {
    failure = error.what();
  }
  {
    const std::lock_guard lock(mailbox_->mutex);
    mailbox_->failure = failure.empty() ? "it was closed" : failure;
  }
  end_all(failure.empty() ? FinishReason::kAbort : FinishReason::kError, failure);
}

// Waits for orders while there is no work. Returns false when the engine closes.
bool AsyncEngine::take_orders(Orders& orders) {
  orders.submissions.clear();
  orders.cancellations.clear();
  if (!engine_->has_work()) engine_->idle();
  std::unique_lock lock(mailbox_->mutex);
  mailbox_->changed.wait(lock, [this] {
    return mailbox_->is_closing || !mailbox_->submissions.empty() || !mailbox_->cancellations.empty() ||
           engine_->has_work();
  });
  orders.submissions.swap(mailbox_->submissions);
  orders.cancellations.swap(mailbox_->cancellations);
  // What was submitted before the end gets its last output like the others.
  for (const Submission& submission : orders.submissions)
    streams_.emplace(submission.queue->id(), submission.queue);
  return !mailbox_->is_closing;
}

void AsyncEngine::start(Submission& submission) {
  const RequestId id = submission.queue->id();
  try {
    engine_->submit(id, std::move(submission.prompt), std::move(submission.params));
  } catch (const std::exception& error) {
    RequestOutput output;
    output.finish_reason = FinishReason::kError;
    output.error = error.what();
    deliver(id, std::move(output));
  }
}

void AsyncEngine::cancel(RequestId id) {
  if (streams_.contains(id)) deliver(id, engine_->cancel(id));
}

void AsyncEngine::deliver(RequestId id, RequestOutput output) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  const std::shared_ptr<OutputQueue> queue = found->second;
  const bool is_last = output.is_last();
  if (is_last) {
    streams_.erase(found);
    const std::lock_guard lock(mailbox_->mutex);
    --mailbox_->num_live;
  }
  if (!queue->push(std::move(output)) && !is_last) queue->cancel();
}

void AsyncEngine::end_all(FinishReason reason, const std::string& error) {
  Orders orders;  // what arrived while the failure came about
  {
    const std::lock_guard lock(mailbox_->mutex);
    orders.submissions.swap(mailbox_->submissions);
  }
  for (const Submission& submission : orders.submissions)
    streams_.emplace(submission.queue->id(), submission.queue);
  while (!streams_.empty()) {
    RequestOutput output;
    output.finish_reason = reason;
    output.error = error;
    deliver(streams_.begin()->first, std::move(output));
  }
}

void AsyncEngine::publish_stats() {
  const EngineStats stats = engine_->stats();
  const std::lock_guard lock(mailbox_->mutex);
  mailbox_->stats = stats;
}

}  // namespace quire
