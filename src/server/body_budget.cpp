#include "server/body_budget.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "server/api_error.h"

namespace quire {

struct BodyBudget::Share::Counts {
  mutable std::mutex mutex;
  std::size_t max_bytes = 0, short_bytes = 0, num_bytes = 0;
  std::map<std::string, std::size_t> by_client;  // only those that hold something

  // With the mutex held. `extra` more bytes for one client.
  void check(const std::string& client, std::size_t extra) const {
    const auto found = by_client.find(client);
    const std::size_t own = found == by_client.end() ? 0 : found->second;
    const std::size_t free = max_bytes - num_bytes;
    if (extra <= free && own + extra <= free - extra) return;
    throw retry_later(429,
                      fmt::format("too many request bodies are being read: {} bytes of {}, {} of them yours, "
                                  "and {} more came",
                                  num_bytes, max_bytes, own, extra),
                      1);
  }
};

BodyBudget::Share& BodyBudget::Share::operator=(Share&& other) noexcept {
  std::swap(counts_, other.counts_);
  std::swap(client_, other.client_);
  std::swap(num_bytes_, other.num_bytes_);
  return *this;
}

BodyBudget::Share::~Share() {
  if (num_bytes_ == 0) return;
  const std::lock_guard lock(counts_->mutex);
  counts_->num_bytes -= num_bytes_;
  const auto own = counts_->by_client.find(client_);
  own->second -= num_bytes_;
  if (own->second == 0) counts_->by_client.erase(own);
}

void BodyBudget::Share::grow_to(std::size_t num_bytes) {
  if (num_bytes <= std::max(num_bytes_, counts_->short_bytes)) return;
  const std::size_t extra = num_bytes - num_bytes_;
  const std::lock_guard lock(counts_->mutex);
  counts_->check(client_, extra);
  counts_->by_client[client_] += extra;
  counts_->num_bytes += extra;
  num_bytes_ = num_bytes;
}

BodyBudget::BodyBudget(std::size_t max_bytes, std::size_t short_bytes)
    : counts_(std::make_shared<Share::Counts>()) {
  counts_->max_bytes = max_bytes;
  counts_->short_bytes = short_bytes;
}

BodyBudget::Share BodyBudget::share_of(const std::string& client) const {
  Share share;
  share.counts_ = counts_;
  share.client_ = client;
  return share;
}

void BodyBudget::check_room(const std::string& client, std::size_t num_bytes) const {
  const std::lock_guard lock(counts_->mutex);
  if (num_bytes > counts_->short_bytes) counts_->check(client, num_bytes);
}

std::size_t BodyBudget::num_bytes() const {
  const std::lock_guard lock(counts_->mutex);
  return counts_->num_bytes;
}

}  // namespace quire
