// What the engine wants of a model.
#pragma once

#include <span>

#include "engine/batch.h"

namespace quire {

struct Runner {
  virtual ~Runner() = default;
  // Computes one step. Returns logits [logit_rows.size(), vocab_size] in f32, valid until the next call. May
  // throw: then all requests of the step end with an error, and the others go on.
  virtual std::span<const float> run(const StepBatch& batch) = 0;
};

}  // namespace quire
