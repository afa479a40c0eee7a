// The interface through which the engine runs a model.
#pragma once

#include <span>

#include "engine/batch.h"

namespace quire {

// Results in place of a token, for rows without one: a logit is NaN; no logit is NaN, but one is +inf; all
// logits are -inf.
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

  // Starts one step. `batch` may change as soon as this returns.
  virtual void start(const StepBatch& batch) = 0;

  // Waits for the end of the step that was started first, of those that have not ended.
  virtual StepResult finish() = 0;

  // If false, the runner draws no tokens, and the engine wants the logits of all rows.
  virtual bool draws_tokens() const { return true; }

  // If true, a step may be started while another one that wants no logits is in flight: it takes the tokens
  // that the other one draws directly, without waiting for the host. If false, a step ends before the next
  // starts.
  virtual bool runs_ahead() const { return false; }

  StepResult run(const StepBatch& batch) {
    start(batch);
    return finish();
  }
};

}  // namespace quire
