#include "targets/emulator/clocks.h"

#include <algorithm>

namespace quire {

void Clocks::join(Ticks& to, const Ticks& from) {
  to.resize(std::max(to.size(), from.size()));
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = std::max(to[i], from[i]);
}

Clocks::Clocks(int num_threads)
    : now_(static_cast<std::size_t>(num_threads), 1),
      seen_(now_.size(), std::make_shared<const Ticks>(now_.size())) {}

void Clocks::meet(std::span<const int> threads) {
  if (threads.empty()) return;
  const Ticks* joined = seen_[static_cast<std::size_t>(threads[0])].get();
  auto together = std::make_shared<Ticks>(*joined);
  for (const int thread : threads) {
    const auto i = static_cast<std::size_t>(thread);
    if (seen_[i].get() != joined) join(*together, *seen_[i]);
    joined = seen_[i].get();
    (*together)[i] = std::max((*together)[i], now_[i]++);
  }
  for (const int thread : threads) seen_[static_cast<std::size_t>(thread)] = together;
}

void Clocks::publish(int thread, Ticks& board) {
  const auto i = static_cast<std::size_t>(thread);
  join(board, *seen_[i]);
  board[i] = std::max(board[i], now_[i]++);
}

void Clocks::learn(int thread, const Ticks& board) {
  const auto i = static_cast<std::size_t>(thread);
  auto together = std::make_shared<Ticks>(*seen_[i]);
  join(*together, board);
  seen_[i] = std::move(together);
}

}  // namespace quire
