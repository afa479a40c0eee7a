// Rotary position embedding of a model: what the configuration says, and the frequencies that follow from it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "files/fields.h"

namespace quire {

constexpr int kMaxPosition = 1 << 30;  // that a file may name, in tokens

enum class RopeType { kDefault, kLinear, kLlama3, kYarn };

const char* to_string(RopeType type);  // as configurations spell it

// A field that its type does not use keeps its default.
struct RopeConfig {
  RopeType type = RopeType::kDefault;
  double theta = 10000.0;
  double factor = 1.0;            // linear, llama3, yarn: context is stretched by this much
  int original_max_position = 0;  // llama3, yarn: tokens of context before the stretch
  double low_freq_factor = 1.0;   // llama3
  double high_freq_factor = 4.0;  // llama3
  double beta_fast = 32.0;        // yarn: turns over the original context, above which nothing is stretched
  double beta_slow = 1.0;         // yarn: turns below which everything is stretched
  std::optional<double> attention_factor;        // yarn: replaces the factor that follows from the rest
  std::optional<double> mscale, mscale_all_dim;  // yarn: both or neither count
  bool truncate = true;                          // yarn: round the bounds of the ramp to whole dimensions
  std::vector<std::string>
      unknown_keys;  // of the file, which change nothing here: likely a slip of its author
};

// Reads `rope_parameters`, or `rope_theta` with `rope_scaling` as files before transformers 5 spell it, from
// a config.json. Throws Error{kUnsupported} for other types, partial rotation and one RoPE per layer type,
// Error{kCorruptFile} for values out of range.
RopeConfig parse_rope_config(const Fields& config, int max_position);

// Angle per position of each pair of dimensions, [head_dim / 2]; pair i is dimensions i and i + head_dim / 2.
std::vector<float> rope_inv_freq(const RopeConfig& rope, int head_dim);

// Sine and cosine are multiplied by this; 1 except for yarn.
float rope_attention_factor(const RopeConfig& rope);

}  // namespace quire
