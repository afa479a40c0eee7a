#include "tuning/tuning_store.h"

#include <algorithm>
#include <filesystem>

#include "base/check.h"

namespace quire {
namespace {

constexpr DType kDTypes[] = {DType::kF32, DType::kF16, DType::kBF16};

}  // namespace

std::vector<AttentionClass> all_attention_classes() {
  std::vector<AttentionClass> classes;
  for (const DType dtype : kDTypes) {
    for (const int head_dim : kHeadDimBounds) {
      for (const BatchKind kind : kBatchKinds) classes.push_back({dtype, head_dim, kind});
    }
  }
  return classes;
}

TuningStore::TuningStore(ConfigRules rules) : rules_(std::move(rules)) {
  for (const AttentionClass& c : all_attention_classes())
    slots_[index_of(c)] = {rules_.heuristics(c), "heuristics"};
}

std::size_t TuningStore::index_of(const AttentionClass& c) {
  const int* bound = std::find(std::begin(kHeadDimBounds), std::end(kHeadDimBounds), c.head_dim);
  QUIRE_CHECK_KIND(kInternal, bound != std::end(kHeadDimBounds), "no class of problems for head size {}",
                   c.head_dim);
  const auto dim = static_cast<std::size_t>(bound - std::begin(kHeadDimBounds));
  return (static_cast<std::size_t>(c.dtype) * std::size(kHeadDimBounds) + dim) * kNumBatchKinds +
         static_cast<std::size_t>(c.kind);
}

// Blocks of rows are cut before it is known whether a batch is all prefill or mixed: both take blocks of the
// same number.
void TuningStore::use_table(const TunedTable& table, const std::string& source) {
  std::array<Slot, kNumSlots> slots = slots_;
  for (const TunedEntry& e : table.entries) {
    const std::string reason = rules_.why_illegal(e.problem, e.config);
    QUIRE_CHECK(reason.empty(), "{}: {}", to_string(e.problem), reason);
    slots[index_of(e.problem)] = {e.config, source};
  }
  for (const DType dtype : kDTypes) {
    for (const int head_dim : kHeadDimBounds) {
      const int prefill = slots[index_of({dtype, head_dim, BatchKind::kPrefill})].config.tiles.num_warps;
      const int mixed = slots[index_of({dtype, head_dim, BatchKind::kMixed})].config.tiles.num_warps;
      QUIRE_CHECK(prefill == mixed, "{} d{}: {} warps for prefill, but {} for mixed batches",
                  to_string(dtype), head_dim, prefill, mixed);
    }
  }
  slots_ = std::move(slots);
}

void TuningStore::read_tables(const Chip& chip, const std::string& folder,
                              std::span<const NamedText> shipped) {
  const auto refuse = [&](const std::string& name, const Error& e) {
    refused_ += fmt::format("{}{} refused: {}", refused_.empty() ? "" : "; ", name, e.what());
  };
  for (const NamedText& text : shipped) {
    try {
      const TunedTable table = parse_tuned_table(text.text, text.name);
      if (table.chip == chip) use_table(table, "shipped table");
    } catch (const Error& e) {
      refuse(text.name, e);
    }
  }
  if (folder.empty()) return;
  const std::filesystem::path path = tuned_table_path(folder, chip);
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return;
  try {
    const TunedTable table = read_tuned_table(path);
    QUIRE_CHECK(table.chip == chip, "it is for {}, this is {}", to_string(table.chip), to_string(chip));
    use_table(table, path.string());
  } catch (const Error& e) {
    refuse(path.string(), e);
  }
}

std::string TuningStore::source_of(const AttentionClass& problem) const {
  const std::string& source = slot(problem).source;
  return refused_.empty() ? source : fmt::format("{} ({})", source, refused_);
}

void TuningStore::set(const AttentionClass& problem, const AttentionTuning& config) {
  const std::string reason = rules_.why_illegal(problem, config);
  QUIRE_CHECK(reason.empty(), "{}: {}", to_string(problem), reason);
  slots_[index_of(problem)] = {config, "being tuned"};
}

}  // namespace quire
