// What a target reports about its attention kernels: their properties, for the planner, and what can be
// chosen, for a tuner.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tuning/tuned_table.h"

namespace quire {

// The properties of the kernel for one kind of batch, for the planner.
struct BatchKindCaps {
  int num_programs = 1;    // that run at the same time
  int rows = 0;            // of one program, at most
  int invariant_rows = 0;  // the same in batch-invariant mode: one arithmetic for any number of rows
  int few_rows = 0;        // up to so many rows a program takes another form; 0: never
  int keys = 0;            // of one tile of scores; splits are multiples of it
  SplitPolicy split_policy;
  std::string source = "heuristics";  // where tiles and policy come from, for people
};

// What a device offers that can be tuned.
class TunableAttention {
 public:
  virtual ~TunableAttention() = default;

  virtual const Chip& chip() const = 0;
  virtual AttentionTuning heuristics(const AttentionClass& problem) const = 0;

  // All that may be compiled, the heuristics' choice first.
  virtual std::vector<AttentionTiles> legal_tiles(const AttentionClass& problem) const = 0;

  // Operators of this class that are made from now on use `config`. Graphs that were recorded before do not
  // change; operators that were made before must not be used any more. Throws Error{kInvalidArgument} with
  // the reason if `config` is illegal.
  virtual void use_config(const AttentionClass& problem, const AttentionTuning& config) = 0;

  // Compiles what `launches` would launch of this class with each of `tiles`, in parallel. For each the
  // reason why it cannot be used: the compiler's first complaint, many more registers that go to memory than
  // for the first of `tiles`; empty if it can.
  virtual std::vector<std::string> prepare_tiles(const AttentionClass& problem,
                                                 std::span<const AttentionTiles> tiles,
                                                 const std::function<void()>& launches) = 0;
};

// What the target's attention kernels can be compiled with.
struct KernelAbilities {
  unsigned mods = 0;             // of ScoreMods
  bool dtypes[kNumDTypes] = {};  // of q, k, v and o alike, by DType
  HeadShape max_heads;           // elements

  bool has(DType dtype) const { return dtypes[static_cast<int>(dtype)]; }
  bool has_kernel() const { return max_heads.qk > 0; }
};

class AttentionTarget {
 public:
  virtual ~AttentionTarget() = default;

  virtual KernelAbilities abilities() const = 0;
  virtual BatchKindCaps caps(const AttentionClass& problem) const = 0;

  // Whether probabilities are rounded to the type of V before they meet it.
  virtual bool rounds_probs(DType v) const = 0;

  // Null where nothing can be tuned.
  virtual TunableAttention* tunable() const { return nullptr; }
};

}  // namespace quire
