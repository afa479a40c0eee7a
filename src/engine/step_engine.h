// What a driver needs of an engine that works in steps. One thread at a time may use it; `check` alone may be
// called by any thread at any time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/request.h"
#include "quire/output.h"
#include "quire/sampling_params.h"
#include "quire/snapshot.h"
#include "quire/stats.h"

namespace quire {

struct StepOutput {
  RequestId id = 0;
  RequestOutput output;
};

// What the last step did, in tokens of each kind (see EngineStats), and who got computing time for the first time.
struct StepReport {
  std::int32_t num_decode_tokens = 0;
  std::int32_t num_extend_tokens = 0;
  std::int32_t num_prefill_tokens = 0;
  std::vector<RequestId> started;
};

struct StepEngine {
  virtual ~StepEngine() = default;

  // Returns the parameters with clamped values. Throws Error{kInvalidArgument} for what can never be run.
  virtual SamplingParams check(std::span<const std::int32_t> prompt, const SamplingParams& params) const = 0;

  // `params` as `check` returned them. Throws kInvalidArgument when the id lives already.
  virtual void submit(RequestId id, std::vector<std::int32_t> prompt, SamplingParams params) = 0;

  // Ends a request and frees what it holds; its last output is returned. An unknown id has no effect: empty
  // output.
  virtual RequestOutput cancel(RequestId id) = 0;

  virtual bool has_work() const = 0;
  virtual std::span<StepOutput>
  step() = 0;               // valid until the next call; the caller may move from the outputs
  virtual void idle() = 0;  // to be called when there is no work: checks that nothing was lost
  virtual EngineStats stats() const = 0;
  virtual const StepReport& last_step() const = 0;
  virtual void describe_pages(EngineSnapshot& snapshot) const = 0;  // fills page_size and page_owners
};

}  // namespace quire
