// The configurations of one device, chosen once when it is opened: from a table of the user or, if there is
// none, from one in the program or, if there is none, from heuristics. A tuner can set others.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/named_text.h"
#include "tuning/tuned_table.h"

namespace quire {

// What a target knows: its heuristics, and the reason why a configuration cannot be (empty if it can).
struct ConfigRules {
  std::function<AttentionTuning(const AttentionClass& problem)> heuristics;
  std::function<std::string(const AttentionClass& problem, const AttentionTuning& config)> why_illegal;
};

std::vector<AttentionClass> all_attention_classes();

// A configuration for every class of problems, with its origin. A table with an illegal value is refused as a
// whole, and the reason is kept; the next one in the order is used instead.
class TuningStore {
 public:
  explicit TuningStore(ConfigRules rules);  // heuristics everywhere

  // `folder`: of the user's tables, "" = none. `shipped`: texts of tables. Those for other chips are passed
  // over.
  void read_tables(const Chip& chip, const std::string& folder, std::span<const NamedText> shipped);

  const AttentionTuning& of(const AttentionClass& problem) const { return slot(problem).config; }

  // For people: "heuristics", "shipped table", the user's file; with what was refused, and why.
  std::string source_of(const AttentionClass& problem) const;

  // For a tuner. Throws Error{kInvalidArgument} with the reason if it is illegal.
  void set(const AttentionClass& problem, const AttentionTuning& config);

 private:
  struct Slot {
    AttentionTuning config;
    std::string source;
  };
  static constexpr std::size_t kNumSlots = 3 * std::size(kHeadDimBounds) * kNumBatchKinds;

  static std::size_t index_of(const AttentionClass& problem);
  const Slot& slot(const AttentionClass& problem) const { return slots_[index_of(problem)]; }
  void use_table(const TunedTable& table, const std::string& source);

  ConfigRules rules_;
  std::array<Slot, kNumSlots> slots_;
  std::string refused_;
};

}  // namespace quire
