#include "server/worker_pool.h"

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

namespace quire {

struct WorkerPool::Threads {
  explicit Threads(int num_threads) : pool(static_cast<std::size_t>(num_threads)) {}
  boost::asio::thread_pool pool;
};

WorkerPool::WorkerPool(int num_threads) : threads_(std::make_unique<Threads>(num_threads)) {}

WorkerPool::~WorkerPool() { stop(); }

void WorkerPool::stop() {
  threads_->pool.stop();
  threads_->pool.join();
}

void WorkerPool::post(std::function<void()> work) { boost::asio::post(threads_->pool, std::move(work)); }

}  // namespace quire
