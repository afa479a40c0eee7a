// The bounded queue in front of the engine: counts answers that run or wait, and prompt tokens that wait. A
// call is taken as a whole or refused as a whole.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

namespace quire {

struct AdmissionLimits {
  std::int64_t max_num_seqs = 0;        // answers that the engine runs at the same time
  std::int64_t max_queued_answers = 0;  // beyond those
  std::int64_t max_queued_tokens = 0;   // prompt tokens of answers that have not begun; 0: no bound
};

// Any thread may use it. Tickets may outlive it.
class Admission {
 public:
  // Places of one call; gives back what it still holds when it is destroyed.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&&) noexcept = default;
    Ticket& operator=(Ticket&& other) noexcept;
    ~Ticket();
    void begin();  // the call's prompts wait no longer

   private:
    friend class Admission;
    struct Counts;
    std::shared_ptr<Counts> counts_;
    std::int64_t num_answers_ = 0, num_tokens_ = 0;
  };

  Admission();
  void set_limits(const AdmissionLimits& limits);

  // Throws ApiError: 400 for more answers than could ever be taken, 429 when there is no room now.
  Ticket enter(std::int64_t num_answers, std::int64_t num_tokens);
  void check_room()
      const;  // throws ApiError 429 when not even one answer has room: a cheap look before any work

  std::int64_t num_answers() const;

 private:
  std::shared_ptr<Ticket::Counts> counts_;
};

}  // namespace quire
