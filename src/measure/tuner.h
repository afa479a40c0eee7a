// Finds the fastest configuration of attention for a class of problems on the device at hand: what is legal
// comes from the target, what is worth it from measurements on representative batches.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "attention/attention.h"
#include "measure/batch_spec.h"
#include "measure/candidate_search.h"
#include "tuning/tuning_store.h"

namespace quire {

// Representative batches of a kind, short, long and many; no request longer than `max_len` tokens, none
// twice.
std::vector<BatchSpec> tuning_batches(BatchKind kind, int max_len);

// Policies near `base` that are worth a try, `base` first.
std::vector<SplitPolicy> policies_around(const SplitPolicy& base);

struct TunedCandidate {
  AttentionTuning config;
  std::vector<double> time_us;  // of one run, by batch; empty if it was not measured
  double score = 0;  // geometric mean over the batches of its time over that of the heuristics, in the last
                     // round that it was in
  std::string fate;  // for people: "won", "dropped after round 1", why it could not be used
};

struct TuneReport {
  AttentionClass problem;
  std::vector<std::string> batches;
  std::vector<TunedCandidate> candidates;  // the heuristics first
  int winner = 0;
  double speedup = 1;  // of the winner over the heuristics

  const AttentionTuning& config() const { return candidates[static_cast<std::size_t>(winner)].config; }
};

struct TuneOptions {
  AttentionDesc desc;  // dtype, heads and page size of the batches
  int max_len = 1 << 15;
  std::vector<std::string> skipped;  // tiles with one of these in their description are left out
  std::function<double()> spent = [] { return 0.0; };  // of the time that tune() may take; 1 = all of it
  std::function<void(const std::string& note)> report = [](const auto&) {};  // what is being done
};

// Tunes decode, prefill and mixed batches, in this order: mixed batches take blocks of as many rows as
// prefill. Afterwards the device uses what won. First tiles are tried with the heuristics' policy, then
// policies with the best tiles; the heuristics stay to the end, and who wins has computed what they compute.
// `device` is the one that offers `tunable`; nothing else may run on it.
class AttentionTuner {
 public:
  AttentionTuner(Device& device, TunableAttention& tunable, TuneOptions options);

  // Throws Error{kInvalidArgument} if no batch of this kind is left with these heads and lengths.
  TuneReport tune(BatchKind kind);

 private:
  AttentionTuning start_of(const AttentionClass& problem) const;

  Device& device_;
  TunableAttention& tunable_;
  const TuneOptions options_;
  AttentionTiles prefill_tiles_;  // that won; all zero before
};

}  // namespace quire
