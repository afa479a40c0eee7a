// What planner and tuner need to know of the attention of a run-time-compiled target, from its rules and
// tables.
#pragma once

#include "targets/jit/tile_rules.h"
#include "tuning/attention_target.h"
#include "tuning/tuning_store.h"

namespace quire {

class JitAttention : public AttentionTarget {
 public:
  // `rules` outlives this. `num_units` is the number of multiprocessors, `max_programs` the most programs at
  // the same time; 0 = as many as fit on the chip.
  JitAttention(const TileRules& rules, int num_units, int max_programs);

  TuningStore& store() { return store_; }
  const TuningStore& store() const { return store_; }

  // `tunable` outlives this; null if nothing can be tuned, as on an emulator.
  void set_tunable(TunableAttention* tunable) { tunable_ = tunable; }

  int programs_at_once(int blocks_per_unit) const;

  KernelAbilities abilities() const override;
  BatchKindCaps caps(const AttentionClass& problem) const override;
  bool rounds_probs(DType v) const override { return v != DType::kF32; }
  TunableAttention* tunable() const override { return tunable_; }

 protected:
  // The tuning of the kernel for these problems.
  virtual AttentionTuning tuning_of(const AttentionClass& problem) const;

 private:
  const TileRules& rules_;
  const int num_units_, max_programs_;
  TuningStore store_;
  TunableAttention* tunable_ = nullptr;
};

}  // namespace quire
