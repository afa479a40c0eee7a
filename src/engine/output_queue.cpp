#include "engine/output_queue.h"

#include <exception>
#include <utility>

namespace quire {

OutputQueue::OutputQueue(RequestId id, OutputCallback callback, std::function<void(RequestId)> on_cancel)
    : id_(id), has_callback_(callback), callback_(std::move(callback)), on_cancel_(std::move(on_cancel)) {}

bool OutputQueue::push(RequestOutput output) noexcept {
  if (has_ended_) return true;  // only this thread sets it
  const bool is_last = output.is_last();
  bool is_taken = true;
  if (has_callback_) {  // outside the lock: the callback may cancel this very request
    try {
      callback_(output);
    } catch (const std::exception&) {
      is_taken = false;
    } catch (...) {
      is_taken = false;
    }
  }
  const std::lock_guard lock(mutex_);
  if (!has_callback_) {
    try {
      outputs_.push_back(std::move(output));
    } catch (const std::exception&) {
      has_lost_output_ = true;
      is_taken = false;
    }
  }
  has_ended_ |= is_last;
  changed_.notify_all();
  return is_taken;
}

bool OutputQueue::is_cancelled() const {
  const std::lock_guard lock(mutex_);
  return is_cancelled_;
}

std::optional<RequestOutput> OutputQueue::take() {
  if (outputs_.empty() && has_lost_output_) {
    has_lost_output_ = false;
    RequestOutput lost;
    lost.finish_reason = FinishReason::kError;
    lost.error = "out of memory";
    return lost;
  }
  if (outputs_.empty()) return std::nullopt;
  std::optional<RequestOutput> output = std::move(outputs_.front());
  outputs_.pop_front();
  return output;
}

std::optional<RequestOutput> OutputQueue::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return can_take(); });
  return take();
}

std::optional<RequestOutput> OutputQueue::next_for(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, [this] { return can_take(); });
  return take();
}

std::optional<RequestOutput> OutputQueue::try_next() {
  const std::lock_guard lock(mutex_);
  return take();
}

bool OutputQueue::is_finished() const {
  const std::lock_guard lock(mutex_);
  return has_ended_ && outputs_.empty() && !has_lost_output_;
}

void OutputQueue::cancel() {
  {
    const std::lock_guard lock(mutex_);
    if (has_ended_ || is_cancelled_) return;
    is_cancelled_ = true;
  }
  on_cancel_(id_);
}

RequestStream::RequestStream(std::shared_ptr<OutputQueue> queue) : queue_(std::move(queue)) {}

RequestStream::~RequestStream() {
  if (queue_) queue_->cancel();
}

RequestStream& RequestStream::operator=(RequestStream&& other) noexcept {
  if (this != &other) {
    if (queue_) queue_->cancel();
    queue_ = std::move(other.queue_);
  }
  return *this;
}

std::optional<RequestOutput> RequestStream::next() { return queue_->next(); }
std::optional<RequestOutput> RequestStream::next_for(std::chrono::milliseconds limit) {
  return queue_->next_for(limit);
}
std::optional<RequestOutput> RequestStream::try_next() { return queue_->try_next(); }
bool RequestStream::is_finished() const { return queue_->is_finished(); }
bool RequestStream::has_begun() const { return queue_->has_begun(); }
void RequestStream::cancel() { queue_->cancel(); }
std::uint64_t RequestStream::id() const { return queue_->id(); }

}  // namespace quire
