// What a model folder says about generating: generation_config.json, the token ids of config.json, and the
// chat template with its special tokens.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quire {

struct GenerationDefaults {
  std::vector<int>
      eos_ids;  // union over config.json and generation_config.json, sorted; generation ends at any
  std::optional<int> bos_id, pad_id;

  std::optional<bool> do_sample;  // false: the model's authors mean greedy, whatever the rest says
  std::optional<double> temperature, top_p, repetition_penalty;
  std::optional<int> top_k, max_new_tokens;

  std::string chat_template;         // Jinja text; empty = none
  std::string bos_token, eos_token;  // what templates write for these tokens; may be empty
  std::optional<bool> add_bos_token;
};

// Reads whichever of the files exist; config.json must. Throws Error{kCorruptFile} naming file, field and
// value.
GenerationDefaults load_generation_defaults(const std::filesystem::path& folder);

// Each file by itself, merged into `defaults`. Ids of generation_config.json win over those of config.json,
// except that end tokens add up; call in the order of these declarations.
void merge_model_ids(std::string_view text, const std::string& origin, GenerationDefaults& defaults);
void merge_generation_config(std::string_view text, const std::string& origin, GenerationDefaults& defaults);
void merge_tokenizer_config(std::string_view text, const std::string& origin, GenerationDefaults& defaults);

}  // namespace quire
