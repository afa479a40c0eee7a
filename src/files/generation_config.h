// What a model folder says about generating: generation_config.json, the token ids of config.json, and the
// chat template with its special tokens.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quire {

struct GenerationDefaults {
  std::vector<int>
      eos_ids;  // union over config.json and generation_config.json, sorted; generation ends at any
  std::optional<int> bos_id, pad_id;

  std::optional<bool> do_sample;  // false: the model's authors mean greedy, whatever the rest says
  // Within the ranges of a request's fields of these names: what lies beyond is put to the bound, with a
  // warning.
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int> top_k, max_new_tokens;

  std::string chat_template;         // Jinja text; empty = none
  std::string bos_token, eos_token;  // what templates write for these tokens; may be empty
  // Further names that templates may write a token under: unk_token, pad_token, ...
  std::vector<std::pair<std::string, std::string>> other_tokens;
  std::optional<bool> add_bos_token;

  // What was left out, changed or is not followed, naming file and field.
  std::vector<std::string> warnings;
};

// Reads whichever of the files exist; config.json must. Throws Error{kCorruptFile} naming file, field and
// value. What only conversations need (templates and their tokens) stops nothing: a field of the wrong kind
// is left out, with a warning.
GenerationDefaults load_generation_defaults(const std::filesystem::path& folder);

// Each file by itself, merged into `defaults`. Ids of generation_config.json win over those of config.json,
// except that end tokens add up; call in the order of these declarations.
void merge_model_ids(std::string_view text, const std::string& origin, GenerationDefaults& defaults);
void merge_generation_config(std::string_view text, const std::string& origin, GenerationDefaults& defaults);
void merge_tokenizer_config(std::string_view text, const std::string& origin, GenerationDefaults& defaults);
// special_tokens_map.json: tokens that tokenizer_config.json does not name.
void merge_special_tokens_map(std::string_view text, const std::string& origin, GenerationDefaults& defaults);

}  // namespace quire
