// Tuned configurations of one chip as a small JSON file:
//   {"format": "quire-tuned", "version": 1,
//    "chip": {"target": "cuda", "architecture": "sm_90a", "description": "NVIDIA H200", "num_units": 132},
//    "attention": [{"dtype": "bf16", "head_dim": 128, "kind": "decode", "speedup": 1.04,
//                   "tiles": {"num_warps": 8, ...}, "split_policy": {"min_split_tiles": 1, ...}}]}
// "tiles" is left out where kernels are compiled with the program. Nothing else may stand in it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tuning/attention_tuning.h"

namespace quire {

// What configurations are tuned for; those of another chip are not taken.
struct Chip {
  std::string target, architecture;  // as in DeviceCaps
  std::string description;           // processor name
  int num_units = 0;                 // multiprocessors of a GPU, threads in use of a CPU
  bool operator==(const Chip&) const = default;
};
std::string to_string(const Chip& chip);  // "NVIDIA H200 (cuda sm_90a, 132 units)"

struct TunedEntry {
  AttentionClass problem;
  AttentionTuning config;
  double speedup = 1;  // over the heuristics when it was measured; for people
};

struct TunedTable {
  Chip chip;
  std::vector<TunedEntry> entries;  // one a class

  const TunedEntry* find(const AttentionClass& problem) const;  // null: none
};

// Bytes from outside: throws Error{kCorruptFile} or, for another version, Error{kUnsupported}, that begins
// with `origin` and names field, value and range. Values that parse may still be illegal on a chip.
TunedTable parse_tuned_table(std::string_view text, const std::string& origin);

std::string tuned_table_text(const TunedTable& table);  // what parse_tuned_table reads

// folder/tuned-cuda-sm_90a-132-nvidia-h200.json
std::filesystem::path tuned_table_path(const std::filesystem::path& folder, const Chip& chip);

// Throws Error{kNotFound} if there is no such file, and what parse_tuned_table throws.
TunedTable read_tuned_table(const std::filesystem::path& path);

// The file appears complete or not at all. Throws Error{kExhausted} with the reason.
void write_tuned_table(const std::filesystem::path& path, const TunedTable& table);

}  // namespace quire
