#include "files/generation_config.h"

#include <algorithm>
#include <limits>
#include <system_error>

#include "base/check.h"
#include "files/fields.h"
#include "files/mapped_file.h"

namespace quire {
namespace {

namespace fs = std::filesystem;

constexpr JsonLimits kLimits = {.max_bytes = 64u << 20, .max_depth = 32, .max_values = 5'000'000};
constexpr std::size_t kMaxTemplateBytes = 4u << 20;
constexpr std::size_t kMaxEosIds = 1024;
constexpr int kMaxInt = std::numeric_limits<int>::max();

// Some files write -1 for "no such token".
std::optional<int> read_id(const Fields& fields, std::string_view key) {
  const auto id = fields.try_int(key, -1, kMaxInt);
  return id == -1 ? std::nullopt : id;
}

void add_eos_ids(const Fields& fields, std::vector<int>& ids) {
  constexpr std::string_view kKey = "eos_token_id";
  const Json* value = fields.find(kKey);
  if (!value) return;
  if (value->is_array()) {
    if (value->size() > kMaxEosIds) fields.refuse(kKey, *value, fmt::format("at most {} ids", kMaxEosIds));
    for (const Json& id : *value) ids.push_back(int_value(fields, kKey, id, 0, kMaxInt));
  } else if (const auto id = read_id(fields, kKey)) {
    ids.push_back(*id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

void merge_ids(const Fields& fields, GenerationDefaults& defaults) {
  add_eos_ids(fields, defaults.eos_ids);
  if (const auto id = read_id(fields, "bos_token_id")) defaults.bos_id = id;
  if (const auto id = read_id(fields, "pad_token_id")) defaults.pad_id = id;
}

// A special token is a string, or an object that holds it as `content`.
std::string read_token(const Fields& fields, std::string_view key) {
  const Json* value = fields.find(key);
  if (!value) return "";
  if (value->is_object()) return fields.try_object(key)->try_string("content").value_or("");
  return fields.try_string(key).value();
}

// A template is a string, or a list of named ones of which "default" is meant.
std::string read_template(const Fields& fields) {
  constexpr std::string_view kKey = "chat_template";
  const Json* value = fields.find(kKey);
  if (!value) return "";
  if (!value->is_array()) return fields.try_string(kKey).value();
  for (const Json& entry : *value) {
    const Fields named(entry, fields.origin(), "chat_template.");
    if (named.try_string("name") == "default") return named.try_string("template").value_or("");
  }
  fields.refuse(kKey, *value, "a string, or an array with a template named \"default\"");
}

// The mapped file, or nothing where there is none.
std::optional<MappedFile> try_open(const fs::path& path, std::size_t max_bytes = kLimits.max_bytes) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  return MappedFile::open_text(path, max_bytes);
}

}  // namespace

void merge_model_ids(std::string_view text, const std::string& origin, GenerationDefaults& defaults) {
  const Json json = parse_json(text, origin, kLimits);
  merge_ids(Fields(json, origin), defaults);
}

void merge_generation_config(std::string_view text, const std::string& origin, GenerationDefaults& defaults) {
  const Json json = parse_json(text, origin, kLimits);
  const Fields fields(json, origin);
  merge_ids(fields, defaults);
  defaults.do_sample = fields.try_bool("do_sample");
  defaults.temperature = fields.try_number("temperature", {0.0, 100.0});
  defaults.top_p = fields.try_number("top_p", {0.0, 1.0});
  defaults.top_k = fields.try_int("top_k", -1, kMaxInt);
  defaults.repetition_penalty = fields.try_number("repetition_penalty", {1e-6, 100.0});
  defaults.max_new_tokens = fields.try_int("max_new_tokens", 1, kMaxInt);
}

void merge_tokenizer_config(std::string_view text, const std::string& origin, GenerationDefaults& defaults) {
  const Json json = parse_json(text, origin, kLimits);
  const Fields fields(json, origin);
  defaults.chat_template = read_template(fields);
  defaults.bos_token = read_token(fields, "bos_token");
  defaults.eos_token = read_token(fields, "eos_token");
  defaults.add_bos_token = fields.try_bool("add_bos_token");
}

GenerationDefaults load_generation_defaults(const fs::path& folder) {
  GenerationDefaults defaults;
  const fs::path config = folder / "config.json";
  merge_model_ids(MappedFile::open_text(config, kLimits.max_bytes).text(), config.string(), defaults);
  const fs::path generation = folder / "generation_config.json";
  if (const auto file = try_open(generation))
    merge_generation_config(file->text(), generation.string(), defaults);
  const fs::path tokenizer = folder / "tokenizer_config.json";
  if (const auto file = try_open(tokenizer))
    merge_tokenizer_config(file->text(), tokenizer.string(), defaults);
  // A template in a file of its own wins over the copy in tokenizer_config.json.
  const fs::path json_path = folder / "chat_template.json";
  if (const auto file = try_open(json_path)) {
    const Json json = parse_json(file->text(), json_path.string(), kLimits);
    defaults.chat_template = read_template(Fields(json, json_path.string()));
  }
  const fs::path jinja_path = folder / "chat_template.jinja";
  if (const auto file = try_open(jinja_path, kMaxTemplateBytes)) defaults.chat_template = file->text();
  QUIRE_CHECK_KIND(kCorruptFile, defaults.chat_template.size() <= kMaxTemplateBytes,
                   "{}: chat template of {} bytes, at most {} are read", folder.string(),
                   defaults.chat_template.size(), kMaxTemplateBytes);
  return defaults;
}

}  // namespace quire
