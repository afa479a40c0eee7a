#include "files/rope_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>

#include "base/check.h"

namespace quire {
namespace {

constexpr NumberRange kThetaRange = {1.0 + 1e-6, 1e15};
constexpr NumberRange kFactorRange = {1.0, 1e6};
constexpr NumberRange kPositiveRange = {1e-6, 1e6};
constexpr std::array kTypes = {RopeType::kDefault, RopeType::kLinear, RopeType::kLlama3, RopeType::kYarn};

RopeType read_type(const Fields& rope) {
  const char* key = rope.has("rope_type") ? "rope_type" : "type";  // the older spelling
  const std::string name = rope.try_string(key).value_or("default");
  for (const RopeType type : kTypes) {
    if (name == to_string(type)) return type;
  }
  rope.refuse_unsupported(key, name, "default, linear, llama3, yarn");
}

void refuse_partial_rotation(const Fields& fields) {
  const auto part = fields.try_number("partial_rotary_factor", {0.0, 1.0});
  if (part && *part != 1.0) fields.refuse_unsupported("partial_rotary_factor", fmt::format("{}", *part), "1");
}

void refuse_layer_types(const Fields& rope) {
  for (const char* key : {"full_attention", "sliding_attention"}) {
    if (rope.has(key)) rope.refuse_unsupported(key, "an object", "one RoPE for all layers");
  }
}

int read_original_max_position(const Fields& config, const Fields& rope, int max_position) {
  constexpr const char* kKey = "original_max_position_embeddings";
  if (const auto outer = config.try_int(kKey, 1, kMaxPosition)) return *outer;  // some files keep it outside
  return rope.try_int(kKey, 1, kMaxPosition).value_or(max_position);
}

void read_llama3(const Fields& fields, RopeConfig& rope) {
  rope.low_freq_factor = fields.get_number("low_freq_factor", kPositiveRange);
  rope.high_freq_factor = fields.get_number("high_freq_factor", kPositiveRange);
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    fields.refuse("high_freq_factor", *fields.find("high_freq_factor"), "a number above low_freq_factor");
  }
}

void read_yarn(const Fields& fields, RopeConfig& rope) {
  const auto number = [&fields](const char* key, double fallback) {
    const double value = fields.try_number(key, {0.0, kPositiveRange.max}).value_or(0.0);
    return value == 0.0 ? fallback : value;  // 0 means "not set"
  };
  rope.beta_fast = number("beta_fast", rope.beta_fast);
  rope.beta_slow = number("beta_slow", rope.beta_slow);
  rope.attention_factor = fields.try_number("attention_factor", kPositiveRange);
  rope.mscale = fields.try_number("mscale", {0.0, kPositiveRange.max});
  rope.mscale_all_dim = fields.try_number("mscale_all_dim", {0.0, kPositiveRange.max});
  rope.truncate = fields.try_bool("truncate").value_or(rope.truncate);
}

// What no type of RoPE reads, here or in Hugging Face's library.
std::vector<std::string> unknown_keys(const Fields& rope) {
  static constexpr std::array<std::string_view, 18> kKnown = {
      "type",           "rope_type",         "rope_theta",
      "factor",         "low_freq_factor",   "high_freq_factor",
      "beta_fast",      "beta_slow",         "attention_factor",
      "mscale",         "mscale_all_dim",    "truncate",
      "short_factor",   "long_factor",       "original_max_position_embeddings",
      "full_attention", "sliding_attention", "partial_rotary_factor"};
  std::vector<std::string> unknown = rope.keys();
  std::erase_if(unknown, [](const std::string& key) {
    return std::find(kKnown.begin(), kKnown.end(), key) != kKnown.end();
  });
  return unknown;
}

// Turns into wavelengths against the original context: long waves are stretched, short ones kept, the rest
// blended.
double llama3_freq(const RopeConfig& rope, double freq) {
  const double wavelength = 2.0 * std::numbers::pi / freq;
  const double turns = rope.original_max_position / wavelength;
  if (turns < rope.low_freq_factor) return freq / rope.factor;
  if (turns > rope.high_freq_factor) return freq;
  const double keep = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1.0 - keep) * freq / rope.factor + keep * freq;
}

// Pairs below `low` keep their frequency, pairs above `high` are stretched whole.
struct YarnRamp {
  double low, high;

  YarnRamp(const RopeConfig& rope, int head_dim) {
    const auto pair_with_turns = [&rope, head_dim](double turns) {
      const double wavelength = rope.original_max_position / turns;
      return head_dim * std::log(wavelength / (2.0 * std::numbers::pi)) / (2.0 * std::log(rope.theta));
    };
    low = pair_with_turns(rope.beta_fast);
    high = pair_with_turns(rope.beta_slow);
    if (rope.truncate) {
      low = std::floor(low);
      high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, head_dim - 1.0);
    if (low == high) high += 0.001;
  }

  double stretched(int pair) const { return std::clamp((pair - low) / (high - low), 0.0, 1.0); }
};

double yarn_mscale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

}  // namespace

const char* to_string(RopeType type) {
  switch (type) {
    case RopeType::kDefault:
      return "default";
    case RopeType::kLinear:
      return "linear";
    case RopeType::kLlama3:
      return "llama3";
    case RopeType::kYarn:
      return "yarn";
  }
  return "?";
}

RopeConfig parse_rope_config(const Fields& config, int max_position) {
  RopeConfig rope;
  rope.theta = config.try_number("rope_theta", kThetaRange).value_or(rope.theta);
  refuse_partial_rotation(config);
  // Where a file has both, Hugging Face lets a filled rope_scaling win.
  const Json* scaling = config.find("rope_scaling");
  const bool old_spelling = scaling != nullptr && !(scaling->is_object() && scaling->empty());
  const auto fields = config.try_object(old_spelling ? "rope_scaling" : "rope_parameters");
  if (!fields) return rope;
  refuse_layer_types(*fields);
  refuse_partial_rotation(*fields);
  rope.type = read_type(*fields);
  rope.unknown_keys = unknown_keys(*fields);
  rope.theta = fields->try_number("rope_theta", kThetaRange).value_or(rope.theta);
  if (rope.type == RopeType::kDefault) return rope;
  if (rope.type != RopeType::kLinear) {
    rope.original_max_position = read_original_max_position(config, *fields, max_position);
  }
  const bool implied = rope.type == RopeType::kYarn && !fields->has("factor");
  rope.factor = implied ? std::max(1.0, static_cast<double>(max_position) / rope.original_max_position)
                        : fields->get_number("factor", kFactorRange);
  if (rope.type == RopeType::kLlama3) read_llama3(*fields, rope);
  if (rope.type == RopeType::kYarn) read_yarn(*fields, rope);
  return rope;
}

std::vector<float> rope_inv_freq(const RopeConfig& rope, int head_dim) {
  QUIRE_CHECK(head_dim > 0 && head_dim % 2 == 0, "RoPE needs an even head_dim, got {}", head_dim);
  std::optional<YarnRamp> ramp;
  if (rope.type == RopeType::kYarn) ramp.emplace(rope, head_dim);
  std::vector<float> inv_freq;
  for (int pair = 0; pair < head_dim / 2; ++pair) {
    const double freq = std::pow(rope.theta, -2.0 * pair / head_dim);
    double scaled = freq;
    if (rope.type == RopeType::kLinear) scaled = freq / rope.factor;
    if (rope.type == RopeType::kLlama3) scaled = llama3_freq(rope, freq);
    if (ramp) {
      const double stretched = ramp->stretched(pair);
      scaled = stretched * freq / rope.factor + (1.0 - stretched) * freq;
    }
    inv_freq.push_back(static_cast<float>(scaled));
  }
  return inv_freq;
}

float rope_attention_factor(const RopeConfig& rope) {
  if (rope.type != RopeType::kYarn) return 1.0f;
  if (rope.attention_factor) return static_cast<float>(*rope.attention_factor);
  const double mscale = rope.mscale.value_or(0.0), all_dim = rope.mscale_all_dim.value_or(0.0);
  if (mscale == 0.0 || all_dim == 0.0) return static_cast<float>(yarn_mscale(rope.factor, 1.0));
  return static_cast<float>(yarn_mscale(rope.factor, mscale) / yarn_mscale(rope.factor, all_dim));
}

}  // namespace quire
