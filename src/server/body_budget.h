// A bound on all bodies together, from their first byte until they have been parsed, shared fairly: a client
// may hold as much as it leaves free. So one client alone gets half of the bound, the next a quarter, and a
// newcomer always finds something. Short bodies are not counted: the number of connections bounds them, and
// nobody's long ones keep them out.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace quire {

// Any thread may use it. Shares may outlive it.
class BodyBudget {
 public:
  // What one body holds; gives it back when it is destroyed.
  class Share {
   public:
    Share() = default;
    Share(Share&& other) noexcept { *this = std::move(other); }
    Share& operator=(Share&& other) noexcept;
    ~Share();

    // Holds `num_bytes` from now on, never less than before. Throws ApiError 429 when there is no room.
    void grow_to(std::size_t num_bytes);

   private:
    friend class BodyBudget;
    struct Counts;
    std::shared_ptr<Counts> counts_;
    std::string client_;
    std::size_t num_bytes_ = 0;
  };

  // Bodies of up to `short_bytes` are not counted.
  BodyBudget(std::size_t max_bytes, std::size_t short_bytes);

  Share share_of(const std::string& client) const;  // holds nothing yet

  // Throws ApiError 429 when a body of this length would find no room now.
  void check_room(const std::string& client, std::size_t num_bytes) const;

  std::size_t num_bytes() const;

 private:
  std::shared_ptr<Share::Counts> counts_;
};

}  // namespace quire
