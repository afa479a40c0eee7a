// Wakes one coroutine. Both sides are on one thread; cheaper than a timer that never expires and is cancelled.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstddef>
#include <new>
#include <utility>

namespace quire {

class WakeEvent {
 public:
  WakeEvent() = default;
  ~WakeEvent() { abandon(); }
  WakeEvent(const WakeEvent&) = delete;
  WakeEvent& operator=(const WakeEvent&) = delete;

  // Returns once notify() has been called since the last return or clear(). One coroutine at a time. Needs no
  // memory: an exception at this place would break the coroutine.
  boost::asio::awaitable<void> wait() {
    if (!is_set_) {
      co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
          [this](auto handler) { keep(std::move(handler)); }, boost::asio::use_awaitable);
    }
    is_set_ = false;
  }

  // Goes on with the coroutine that waits, before it returns.
  void notify() {
    is_set_ = true;
    if (end_ != nullptr) std::exchange(end_, nullptr)(storage_, true);
  }

  void clear() { is_set_ = false; }

  // Destroys the coroutine that waits: it may own what the event is a part of.
  void abandon() {
    if (end_ != nullptr) std::exchange(end_, nullptr)(storage_, false);
  }

 private:
  static constexpr std::size_t kMaxHandlerBytes = 64;

  template <class Handler>
  void keep(Handler handler) {
    static_assert(sizeof(Handler) <= kMaxHandlerBytes && alignof(Handler) <= alignof(std::max_align_t));
    new (storage_) Handler(std::move(handler));
    end_ = [](std::byte* storage, bool resumes) {
      Handler* kept = std::launder(reinterpret_cast<Handler*>(storage));
      Handler last(std::move(*kept));
      kept->~Handler();  // another may take its place before this one returns
      if (resumes) last();
    };
  }

  alignas(std::max_align_t) std::byte storage_[kMaxHandlerBytes];
  void (*end_)(std::byte* storage,
               bool resumes) = nullptr;  // of the handler that is kept; null: nobody waits
  bool is_set_ = false;
};

}  // namespace quire
