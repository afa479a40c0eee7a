// Threads for work that would keep a connection's thread too long: parsing and tokenising long prompts.
// Clients take turns, so that one with many long prompts does not keep the others waiting; and work that
// nobody waits for any more is never begun.
#pragma once

#include <functional>
#include <memory>
#include <string>

namespace quire {

struct WorkerJob;
struct WorkerQueue;

class WorkerPool {
 public:
  // A job's place in the queue. Destroying it takes the job out, unless it has begun. May outlive the pool.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept { *this = std::move(other); }
    Place& operator=(Place&& other) noexcept;
    ~Place();

   private:
    friend class WorkerPool;
    std::shared_ptr<WorkerQueue> queue_;
    std::shared_ptr<WorkerJob> job_;
  };

  // Throws Error{kExhausted} when the system gives no more threads.
  explicit WorkerPool(int num_threads);
  ~WorkerPool();
  void stop();  // waits for work that has begun; what has not is dropped. Once or several times

  // The caller bounds how many jobs wait: whoever posts holds a place of the Admission.
  Place post(const std::string& client, std::function<void()> work);

 private:
  struct Threads;
  std::shared_ptr<WorkerQueue> queue_;
  std::unique_ptr<Threads> threads_;
};

}  // namespace quire
