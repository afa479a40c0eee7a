// What the engine wants of a model.
#pragma once

#include <span>

#include "engine/batch.h"

namespace quire {

// What stands for a token where a row of logits has none: one is NaN, else one is infinite, else none is
// above -inf.
constexpr std::int32_t kTokenIsNan = -1, kTokenIsInfinite = -2, kTokenIsMissing = -3;

// Valid until the next call of the runner.
struct StepResult {
  std::span<const std::int32_t>
      tokens;  // [logit_rows.size()] drawn as StepBatch::draws says, the likeliest is the lowest id among
               // equals; or one of the above; any value where logits were wanted
  std::span<const float> logits;  // [rows that want logits, vocab_size]
};

// Both functions may throw: then all requests of the step end with an error, and the others go on.
struct Runner {
  virtual ~Runner() = default;

  // Begins one step. What it needs of `batch` is copied.
  virtual void start(const StepBatch& batch) = 0;

  // Ends the step that was started first of those that have not ended.
  virtual StepResult finish() = 0;

  // False: it draws no tokens, and the logits of all rows are wanted.
  virtual bool draws_tokens() const { return true; }

  // A step may be started while another one that wants no logits is under way: that saves time, for it takes
  // the tokens drawn by the other without the host. Otherwise a step ends before the next one starts.
  virtual bool runs_ahead() const { return false; }

  StepResult run(const StepBatch& batch) {
    start(batch);
    return finish();
  }
};

}  // namespace quire
