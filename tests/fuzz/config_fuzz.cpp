// Any text is either a configuration whose weight table and RoPE frequencies can be made, or an Error of the
// two kinds that files may cause. The same text is tried as generation_config.json and tokenizer_config.json.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "files/generation_config.h"
#include "files/model_config.h"
#include "files/weight_names.h"

namespace {

template <class Act>
void allow_refusal(Act act) {
  try {
    act();
  } catch (const quire::Error& e) {
    const bool expected =
        e.kind() == quire::ErrorKind::kCorruptFile || e.kind() == quire::ErrorKind::kUnsupported;
    if (!expected) __builtin_trap();
  }
}

void use_model_config(std::string_view text) {
  const quire::ModelConfig config = quire::parse_model_config(text, "config.json");
  if (config.window_lens.size() != static_cast<std::size_t>(config.num_layers)) __builtin_trap();
  for (const quire::WeightSpec& spec : quire::weight_specs(config)) {
    for (const std::int64_t extent : spec.shape) {
      if (extent <= 0) __builtin_trap();
    }
  }
  for (const float freq : quire::rope_inv_freq(config.rope, config.head_dim)) {
    if (!std::isfinite(freq) || freq < 0) __builtin_trap();
  }
  if (!(quire::rope_attention_factor(config.rope) > 0)) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t num_bytes) {
  const std::string_view text(reinterpret_cast<const char*>(data), num_bytes);
  allow_refusal([text] { use_model_config(text); });
  quire::GenerationDefaults defaults;
  allow_refusal([&] { quire::merge_model_ids(text, "config.json", defaults); });
  allow_refusal([&] { quire::merge_generation_config(text, "generation_config.json", defaults); });
  allow_refusal([&] { quire::merge_tokenizer_config(text, "tokenizer_config.json", defaults); });
  return 0;
}
