// Vector clocks: what each thread of a block knows of the others, in ticks, which race detection is based on.
// A thread's tick rises where others may learn what it did: at barriers and arrivals. Threads that met at a
// barrier share one vector, so that a barrier costs one and not one for each thread.
#pragma once

#include <memory>
#include <span>
#include <vector>

namespace quire {

class Clocks {
 public:
  using Ticks = std::vector<unsigned>;  // by thread: everything up to this tick of its is known

  static void join(Ticks& to, const Ticks& from);  // to knows what both know

  explicit Clocks(int num_threads);

  unsigned now(int thread) const { return now_[static_cast<std::size_t>(thread)]; }
  bool has_seen(int thread, int other, unsigned tick) const {
    return thread == other ||
           (*seen_[static_cast<std::size_t>(thread)])[static_cast<std::size_t>(other)] >= tick;
  }

  // A barrier: everybody learns what everybody did before.
  void meet(std::span<const int> threads);

  // One half each: what the thread did and knows goes to the board; the thread learns what the board has.
  void publish(int thread, Ticks& board);
  void learn(int thread, const Ticks& board);

 private:
  std::vector<unsigned> now_;
  std::vector<std::shared_ptr<const Ticks>> seen_;
};

}  // namespace quire
