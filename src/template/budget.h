// What one rendering may use. Everything that costs time or memory in proportion to a template's or a
// message's wishes is charged here before it happens.
#pragma once

#include <cstddef>
#include <cstdint>

#include "template/chat_template.h"

namespace quire::jinja {

// All methods throw Error{kInvalidArgument} that names limit and use.
class Budget {
 public:
  explicit Budget(const TemplateLimits& limits);

  void charge_steps(std::int64_t num_steps = 1) {
    steps_ += num_steps;
    if (steps_ >= next_check_) check_steps();
  }
  // A text or a list of `num_bytes` is about to be made.
  void charge_bytes(std::size_t num_bytes);
  // A text has grown to `num_bytes`.
  void check_text_size(std::size_t num_bytes) const;

  // One level of nesting, as long as it lives.
  class Level {
   public:
    explicit Level(Budget& budget) : budget_(budget) { budget_.enter(); }
    ~Level() { --budget_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Budget& budget_;
  };

 private:
  void enter();
  void check_steps();

  const TemplateLimits limits_;
  const double start_s_;
  std::int64_t steps_ = 0;
  std::int64_t next_check_;
  std::int64_t made_bytes_ = 0;
  int depth_ = 0;
};

}  // namespace quire::jinja
