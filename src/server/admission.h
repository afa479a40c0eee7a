// The bounded queue in front of the engine: counts calls that are being prepared, answers that run or wait,
// and prompt tokens that wait. A call is taken as a whole or refused as a whole, and no client may have all
// places.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

namespace quire {

struct AdmissionLimits {
  std::int64_t max_num_seqs = 0;           // answers that the engine runs at the same time
  std::int64_t max_queued_answers = 0;     // beyond those
  std::int64_t max_queued_tokens = 0;      // prompt tokens of answers that have not begun; 0: no bound
  std::int64_t max_answers_of_client = 0;  // 0: all places but an eighth, which others always find free
};

// Any thread may use it. Tickets may outlive it. A client is whoever shows one key, or else comes from one
// address.
class Admission {
 public:
  // Places of one call; gives back what it still holds when it is destroyed.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept { *this = std::move(other); }
    Ticket& operator=(Ticket&& other) noexcept;
    ~Ticket();

    // What the call turned out to be, once it is prepared. Throws as Admission::enter does, and then holds
    // what it held.
    void grow_to(std::int64_t num_answers, std::int64_t num_tokens);
    void begin();  // the call's prompts wait no longer

   private:
    friend class Admission;
    struct Counts;
    std::shared_ptr<Counts> counts_;
    std::string client_;
    std::int64_t num_answers_ = 0, num_tokens_ = 0;
  };

  Admission();
  void set_limits(const AdmissionLimits& limits);

  // Throws ApiError: 400 for more answers than could ever be taken, 429 when there is no room now.
  Ticket enter(const std::string& client, std::int64_t num_answers, std::int64_t num_tokens);
  // Throws ApiError 429 when not even one answer has room: a cheap look before any work.
  void check_room(const std::string& client) const;

  std::int64_t num_answers() const;

 private:
  std::shared_ptr<Ticket::Counts> counts_;
};

}  // namespace quire
