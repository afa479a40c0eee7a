#include "engine/async_engine.h"

#include <algorithm>
#include <exception>
#include <new>
#include <system_error>
#include <utility>

#include "base/check.h"

namespace quire {

namespace {

constexpr std::size_t kNumStepRecords = 256;

}  // namespace

AsyncEngine::AsyncEngine(std::unique_ptr<StepEngine> engine, int max_num_requests, StepBound step_bound)
    : engine_(std::move(engine)),
      max_num_requests_(max_num_requests),
      mailbox_(std::make_shared<Mailbox>()),
      step_bound_(std::move(step_bound)) {
  QUIRE_CHECK(max_num_requests >= 1, "max_num_requests is {}, must be at least 1", max_num_requests);
  mailbox_->stats = engine_->stats();
  try {
    thread_ = std::thread([this] { drive(); });
  } catch (const std::system_error& error) {
    throw_error(ErrorKind::kExhausted, "cannot start the engine's thread: {}", error.what());
  }
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
  auto on_cancel = [weak = std::weak_ptr<Mailbox>(mailbox_)](RequestId) {
    if (const auto mailbox = weak.lock()) {
      {
        const std::lock_guard lock(mailbox->mutex);
        mailbox->has_cancellations = true;
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
    mailbox_->submissions.push_back({queue, std::move(prompt), std::move(checked), Clock::now()});
    ++mailbox_->num_live;
  }
  mailbox_->changed.notify_all();
  return RequestStream(std::move(queue));
}

EngineStats AsyncEngine::stats() const {
  const std::lock_guard lock(mailbox_->mutex);
  EngineStats stats = mailbox_->stats;
  // Who lives and does not run waits: in the queue, in the mailbox, or taken by a step that is not over yet.
  stats.num_waiting = std::max(std::int64_t{0}, mailbox_->num_live - stats.num_running);
  return stats;
}

void AsyncEngine::request_snapshot(SnapshotCallback callback) {
  {
    const std::lock_guard lock(mailbox_->mutex);
    if (mailbox_->is_closing || !mailbox_->failure.empty()) return;
    mailbox_->snapshots.push_back(std::move(callback));
  }
  mailbox_->changed.notify_all();
}

void AsyncEngine::drive() {
  // Texts of at most 15 bytes need no memory.
  std::string failure;
  Orders orders;
  try {
    while (take_orders(orders)) {
      for (Submission& submission : orders.submissions) start(submission);
      if (orders.has_cancellations) cancel_abandoned();
      engine_->has_work() ? step() : publish_stats();
      serve_snapshots(orders);
    }
  } catch (const std::bad_alloc&) {
    failure = "out of memory";
  } catch (const std::exception& error) {
    try {
      failure = error.what();
    } catch (const std::bad_alloc&) {
      failure = "out of memory";
    }
  }
  const bool has_failed = !failure.empty();
  {
    const std::lock_guard lock(mailbox_->mutex);
    mailbox_->failure = has_failed ? std::move(failure) : "it was closed";
    mailbox_->stats.has_failed = has_failed;
  }
  end_all(orders, has_failed ? FinishReason::kError : FinishReason::kAbort,
          has_failed ? mailbox_->failure : "");
}

void AsyncEngine::step() {
  const Clock::time_point start = Clock::now();
  const std::span<StepOutput> outputs = engine_->step();
  const Clock::duration time = Clock::now() - start;
  const StepReport& report = engine_->last_step();
  for (const RequestId id : report.started) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) continue;
    found->second.queue_s = std::chrono::duration<double>(start - found->second.arrival).count();
    found->second.queue->mark_begun();
  }
  if (steps_.size() == kNumStepRecords) steps_.pop_front();
  steps_.push_back({report.num_decode_tokens, report.num_extend_tokens, report.num_prefill_tokens,
                    std::chrono::duration_cast<std::chrono::microseconds>(time).count()});
  step_time_s_ += std::chrono::duration<double>(time).count();
  if (step_bound_) step_bound_s_ += step_bound_();
  publish_stats();  // before anybody hears of the step: who has an answer finds it counted
  for (StepOutput& output : outputs) deliver(output.id, std::move(output.output));
}

void AsyncEngine::serve_snapshots(Orders& orders) {
  if (orders.snapshots.empty()) return;
  try {
    EngineSnapshot snapshot;
    engine_->describe_pages(snapshot);
    snapshot.steps.assign(steps_.begin(), steps_.end());
    snapshot.stats = stats();
    for (const SnapshotCallback& callback : orders.snapshots) callback(snapshot);
  } catch (const std::bad_alloc&) {  // who asked gets none
  }
}

// Waits for orders while there is no work. Returns false when the engine closes.
bool AsyncEngine::take_orders(Orders& orders) {
  orders.submissions.clear();
  orders.snapshots.clear();
  if (!engine_->has_work()) engine_->idle();
  std::unique_lock lock(mailbox_->mutex);
  mailbox_->changed.wait(lock, [this] {
    return mailbox_->is_closing || !mailbox_->submissions.empty() || mailbox_->has_cancellations ||
           !mailbox_->snapshots.empty() || engine_->has_work();
  });
  orders.submissions.swap(mailbox_->submissions);
  orders.has_cancellations = std::exchange(mailbox_->has_cancellations, false);
  orders.snapshots.swap(mailbox_->snapshots);
  const bool goes_on = !mailbox_->is_closing;
  lock.unlock();
  // What was submitted before the end gets its last output like the others.
  for (Submission& submission : orders.submissions) enter(submission);
  return goes_on;
}

void AsyncEngine::enter(Submission& submission) {
  try {
    streams_.emplace(submission.queue->id(), Live{submission.queue, submission.arrival});
  } catch (const std::bad_alloc&) {
    end(*submission.queue, FinishReason::kError, "out of memory");
    const std::lock_guard lock(mailbox_->mutex);
    --mailbox_->num_live;
  }
}

void AsyncEngine::start(Submission& submission) {
  const RequestId id = submission.queue->id();
  if (!streams_.contains(id)) return;  // there was no memory for it
  try {
    engine_->submit(id, std::move(submission.prompt), std::move(submission.params));
  } catch (const std::exception& error) {
    RequestOutput output;
    output.finish_reason = FinishReason::kError;
    output.error = error.what();
    deliver(id, std::move(output));
  }
}

void AsyncEngine::cancel_abandoned() {
  for (auto next = streams_.begin(); next != streams_.end();) {
    const auto stream = next++;  // the end of a request takes it out
    const RequestId id = stream->first;
    if (stream->second.queue->is_cancelled()) deliver(id, engine_->cancel(id));
  }
}

void AsyncEngine::deliver(RequestId id, RequestOutput output) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  const std::shared_ptr<OutputQueue> queue = found->second.queue;
  output.queue_s = found->second.queue_s;
  double& first_token_s = found->second.first_token_s;
  if (first_token_s == 0 && !output.token_ids.empty()) {
    first_token_s = std::chrono::duration<double>(Clock::now() - found->second.arrival).count();
  }
  output.first_token_s = first_token_s;
  const bool is_last = output.is_last();
  if (is_last) {
    streams_.erase(found);
    const std::lock_guard lock(mailbox_->mutex);
    --mailbox_->num_live;
  }
  if (!queue->push(std::move(output)) && !is_last) queue->cancel();
}

void AsyncEngine::end(OutputQueue& queue, FinishReason reason, const std::string& error) noexcept {
  RequestOutput output;
  output.finish_reason = reason;
  try {
    output.error = error;
  } catch (const std::bad_alloc&) {  // the reason says enough
  }
  queue.push(std::move(output));
}

// Needs no memory: everybody hears of the end, whatever has led to it.
void AsyncEngine::end_all(Orders& orders, FinishReason reason, const std::string& error) noexcept {
  for (const auto& [id, live] : streams_) end(*live.queue, reason, error);
  streams_.clear();
  for (const Submission& submission : orders.submissions) end(*submission.queue, reason, error);
  orders.submissions.clear();
  {  // what arrived while the failure came about
    const std::lock_guard lock(mailbox_->mutex);
    orders.submissions.swap(mailbox_->submissions);
    mailbox_->num_live = 0;
  }
  for (const Submission& submission : orders.submissions) end(*submission.queue, reason, error);
}

void AsyncEngine::publish_stats() {
  EngineStats stats = engine_->stats();
  stats.step_time_s = step_time_s_;
  stats.step_bound_s = step_bound_s_;
  const std::lock_guard lock(mailbox_->mutex);
  mailbox_->stats = stats;
}

}  // namespace quire
