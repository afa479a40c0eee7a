#include "server/worker_pool.h"

#include <gtest/gtest.h>

#include <future>
#include <mutex>
#include <string>
#include <vector>

namespace quire {
namespace {

// A pool of one thread that is held up until told to go on, so that what is posted meanwhile waits.
struct HeldPool {
  WorkerPool pool{1};
  std::promise<void> begun, let_go;
  WorkerPool::Place first = pool.post("", [this] {
    begun.set_value();
    let_go.get_future().wait();
  });
  std::mutex mutex;
  std::vector<std::string> done;
  std::promise<void> all_done;

  HeldPool() { begun.get_future().wait(); }

  WorkerPool::Place post(const std::string& client, const std::string& name) {
    return pool.post(client, [this, name] {
      const std::lock_guard lock(mutex);
      done.push_back(name);
    });
  }

  // Lets everything run that was posted, and says in which order it did.
  std::vector<std::string> run() {
    const auto last = pool.post("~last", [this] { all_done.set_value(); });
    let_go.set_value();
    all_done.get_future().wait();
    const std::lock_guard lock(mutex);
    return done;
  }
};

TEST(WorkerPool, ClientsTakeTurns) {
  HeldPool held;
  std::vector<WorkerPool::Place> places;
  for (int i = 0; i < 3; ++i) places.push_back(held.post("p", "p" + std::to_string(i)));
  places.push_back(held.post("q", "q0"));
  const auto last = held.pool.post("~last", [] {});  // so that the one of run() comes behind all others
  const auto second = held.pool.post("~last", [] {});
  EXPECT_EQ(held.run(), (std::vector<std::string>{"p0", "q0", "p1", "p2"}));
}

TEST(WorkerPool, WorkThatNobodyWaitsForIsNeverBegun) {
  HeldPool held;
  auto kept = held.post("a", "kept");
  auto owned = std::make_shared<int>();
  {
    auto gone = held.post("a", "gone"), also_gone = held.post("b", "gone");
    const auto holds_memory = held.pool.post("a", [owned] {});
    EXPECT_EQ(owned.use_count(), 2);
  }
  EXPECT_EQ(owned.use_count(), 1) << "what the job held is free at once";
  EXPECT_EQ(held.run(), std::vector<std::string>{"kept"});
}

TEST(WorkerPool, AFailureOfOneJobIsItsOwn) {
  WorkerPool pool(1);
  const auto bad = pool.post("a", [] { throw std::bad_alloc(); });
  std::promise<void> done;
  const auto good = pool.post("a", [&] { done.set_value(); });
  done.get_future().wait();
}

TEST(WorkerPool, PlacesMayOutliveIt) {
  auto pool = std::make_unique<WorkerPool>(2);
  pool->stop();
  const auto late = pool->post("a", [] { FAIL(); });
  pool.reset();
}

}  // namespace
}  // namespace quire
