// Wakes one coroutine. Both sides are on one strand; cheaper than a timer that never expires and is cancelled.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <utility>

namespace quire {

class WakeEvent {
 public:
  // Returns once notify() has been called since the last return or clear(). One coroutine at a time.
  boost::asio::awaitable<void> wait() {
    if (!is_set_) {
      co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
          [this](auto handler) { waiting_ = std::make_unique<Handler<decltype(handler)>>(std::move(handler)); },
          boost::asio::use_awaitable);
    }
    is_set_ = false;
  }

  // Goes on with the coroutine that waits, before it returns.
  void notify() {
    is_set_ = true;
    if (const auto waiting = std::move(waiting_)) waiting->resume();
  }

  void clear() { is_set_ = false; }

  // Destroys the coroutine that waits: it may own what the event is a part of.
  void abandon() { const auto waiting = std::move(waiting_); }

 private:
  struct Waiting {
    virtual ~Waiting() = default;
    virtual void resume() = 0;
  };
  template <class F>
  struct Handler : Waiting {
    explicit Handler(F handler) : call(std::move(handler)) {}
    void resume() override { call(); }
    F call;
  };

  std::unique_ptr<Waiting> waiting_;
  bool is_set_ = false;
};

}  // namespace quire
