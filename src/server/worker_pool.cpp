#include "server/worker_pool.h"

#include <condition_variable>
#include <list>
#include <map>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"

namespace quire {

struct WorkerJob {
  std::string client;
  std::function<void()> work;
};

struct WorkerQueue {
  using Line = std::list<std::shared_ptr<WorkerJob>>;  // of one client, oldest first

  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, Line> lines;  // none is empty
  std::string last_client;            // who had the last turn
  bool is_stopped = false;

  // With the mutex held and some line there: the next client in order has its turn.
  std::shared_ptr<WorkerJob> take() {
    auto line = lines.upper_bound(last_client);
    if (line == lines.end()) line = lines.begin();
    try {
      last_client = line->first;
    } catch (const std::bad_alloc&) {  // this client may have another turn
    }
    std::shared_ptr<WorkerJob> job = std::move(line->second.front());
    line->second.pop_front();
    if (line->second.empty()) lines.erase(line);
    return job;
  }

  void remove(const std::shared_ptr<WorkerJob>& job) {
    const std::lock_guard lock(mutex);
    const auto line = lines.find(job->client);
    if (line == lines.end()) return;
    line->second.remove(job);
    if (line->second.empty()) lines.erase(line);
  }

  void work() {
    for (;;) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [this] { return is_stopped || !lines.empty(); });
      if (is_stopped) return;
      const std::shared_ptr<WorkerJob> job = take();
      lock.unlock();
      try {
        job->work();
      } catch (...) {  // out of memory: this job's caller meets its deadline, the thread goes on
      }
      job->work = nullptr;  // what it holds is free now, not when the caller looks
    }
  }
};

struct WorkerPool::Threads {
  std::vector<std::thread> threads;
};

WorkerPool::Place& WorkerPool::Place::operator=(Place&& other) noexcept {
  std::swap(queue_, other.queue_);
  std::swap(job_, other.job_);
  return *this;
}

WorkerPool::Place::~Place() {
  if (queue_) queue_->remove(job_);
}

WorkerPool::WorkerPool(int num_threads)
    : queue_(std::make_shared<WorkerQueue>()), threads_(std::make_unique<Threads>()) {
  try {
    for (int i = 0; i < num_threads; ++i) threads_->threads.emplace_back([queue = queue_] { queue->work(); });
  } catch (const std::system_error& error) {
    stop();
    throw_error(ErrorKind::kExhausted, "cannot start thread {} of {} that read long bodies: {}",
                threads_->threads.size() + 1, num_threads, error.what());
  }
}

WorkerPool::~WorkerPool() { stop(); }

void WorkerPool::stop() {
  {
    const std::lock_guard lock(queue_->mutex);
    queue_->is_stopped = true;
    queue_->lines.clear();
  }
  queue_->changed.notify_all();
  for (std::thread& thread : threads_->threads) {
    if (thread.joinable()) thread.join();
  }
}

WorkerPool::Place WorkerPool::post(const std::string& client, std::function<void()> work) {
  Place place;
  place.queue_ = queue_;
  place.job_ = std::make_shared<WorkerJob>(WorkerJob{client, std::move(work)});
  WorkerQueue::Line line = {place.job_};  // what may throw comes before a line is made for it
  {
    const std::lock_guard lock(queue_->mutex);
    if (!queue_->is_stopped) {
      WorkerQueue::Line& of_client = queue_->lines[client];
      of_client.splice(of_client.end(), line);
    }
  }
  queue_->changed.notify_one();
  return place;
}

}  // namespace quire
