// The way of one request's outputs from the driver's thread to its reader.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>

#include "engine/request.h"
#include "quire/engine.h"

namespace quire {

class OutputQueue {
 public:
  // `on_cancel` is called at most once, by the reader's thread, unless the last output came before.
  OutputQueue(RequestId id, OutputCallback callback, std::function<void(RequestId)> on_cancel);

  RequestId id() const { return id_; }

  // Driver's side. push() returns false when the callback threw. It never loses the end: where there is no
  // memory for the output, the stream ends with kError. What comes after the end is dropped.
  bool push(RequestOutput output) noexcept;
  void mark_begun() { has_begun_ = true; }
  bool is_cancelled() const;

  // Reader's side; see RequestStream.
  std::optional<RequestOutput> next();
  std::optional<RequestOutput> next_for(std::chrono::milliseconds limit);
  std::optional<RequestOutput> try_next();
  bool is_finished() const;
  bool has_begun() const { return has_begun_; }
  void cancel();

 private:
  bool can_take() const { return has_lost_output_ || !outputs_.empty() || has_ended_ || has_callback_; }
  std::optional<RequestOutput> take();

  const RequestId id_;
  const bool has_callback_;
  OutputCallback callback_;  // touched by the driver's thread only
  std::function<void(RequestId)> on_cancel_;
  std::atomic<bool> has_begun_ = false;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<RequestOutput> outputs_;
  bool has_ended_ = false;  // the last output was pushed
  bool has_lost_output_ = false;
  bool is_cancelled_ = false;
};

}  // namespace quire
