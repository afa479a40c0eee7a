#include "files/generation_config.h"

#include <algorithm>
#include <limits>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "files/fields.h"
#include "files/mapped_file.h"

namespace quire {
namespace {

namespace fs = std::filesystem;

constexpr JsonLimits kLimits = {.max_bytes = 64u << 20, .max_depth = 32, .max_values = 5'000'000};
constexpr std::size_t kMaxTemplateBytes = 4u << 20;
constexpr std::size_t kMaxEosIds = 1024;
constexpr double kLeastTopP = 1e-9;
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

void warn(const Fields& fields, std::string_view key, const Json& value, std::string_view expected,
          GenerationDefaults& defaults) {
  defaults.warnings.push_back(fields.describe(key, value, expected) + "; it is left out");
}

// A special token is a string, or an object that holds it as `content`.
std::string read_token(const Fields& fields, std::string_view key, GenerationDefaults& defaults) {
  const Json* value = fields.find(key);
  if (!value) return "";
  const auto content = value->is_object() ? value->find("content") : value->end();
  const Json& text = value->is_object() && content != value->end() ? *content : *value;
  if (text.is_string()) return text.get<std::string>();
  warn(fields, key, *value, "a string, or an object with \"content\"", defaults);
  return "";
}

// The first file that names a token decides.
void read_tokens(const Fields& fields, GenerationDefaults& defaults) {
  if (defaults.bos_token.empty()) defaults.bos_token = read_token(fields, "bos_token", defaults);
  if (defaults.eos_token.empty()) defaults.eos_token = read_token(fields, "eos_token", defaults);
  for (const char* name : {"unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
    const auto is_same = [name](const auto& known) { return known.first == name; };
    auto& known = defaults.other_tokens;
    if (std::any_of(known.begin(), known.end(), is_same)) continue;
    if (auto token = read_token(fields, name, defaults); !token.empty()) known.emplace_back(name, token);
  }
}

// The template of one entry of a list, if it is the one that is meant.
const Json* default_template(const Json& entry) {
  if (!entry.is_object()) return nullptr;
  const auto name = entry.find("name"), text = entry.find("template");
  const bool is_meant = name != entry.end() && *name == "default" && text != entry.end();
  return is_meant ? &*text : nullptr;
}

// A template is a string, or several by name, as a list of entries or an object, of which "default" is meant.
std::string read_template(const Fields& fields, GenerationDefaults& defaults) {
  constexpr std::string_view kKey = "chat_template";
  const Json* value = fields.find(kKey);
  if (!value) return "";
  const Json* text = value;
  if (value->is_object()) {
    const auto named = value->find("default");
    text = named == value->end() ? nullptr : &*named;
  } else if (value->is_array()) {
    text = nullptr;
    for (const Json& entry : *value) {
      if (const Json* found = default_template(entry); found && !text) text = found;
    }
  }
  const bool is_long =
      text && text->is_string() && text->get_ref<const std::string&>().size() > kMaxTemplateBytes;
  if (is_long) warn(fields, kKey, *text, fmt::format("at most {} bytes", kMaxTemplateBytes), defaults);
  if (text && text->is_string()) return is_long ? "" : text->get<std::string>();
  warn(fields, kKey, *value, "a string, or templates of which one is named \"default\"", defaults);
  return "";
}

// What a request may not ask for is put to the bound; `range` is that of requests.
std::optional<double> clamped(const Fields& fields, std::string_view key, NumberRange known,
                              NumberRange range, GenerationDefaults& defaults) {
  const auto value = fields.try_number(key, known);
  if (!value || (*value >= range.min && *value <= range.max)) return value;
  const double bound = std::clamp(*value, range.min, range.max);
  defaults.warnings.push_back(fmt::format("{}: \"{}\" is {}, which no request may ask for; {} is used",
                                          fields.origin(), key, *value, bound));
  return bound;
}

// Fields by which Hugging Face's library chooses other tokens, and what they hold when they ask for nothing
// (JSON). Authors who set one get other answers than they mean, and should read so.
constexpr std::pair<const char*, const char*> kNotFollowed[] = {{"typical_p", "[1]"},
                                                                {"epsilon_cutoff", "[0]"},
                                                                {"eta_cutoff", "[0]"},
                                                                {"penalty_alpha", "[0]"},
                                                                {"guidance_scale", "[1]"},
                                                                {"encoder_repetition_penalty", "[1]"},
                                                                {"presence_penalty", "[0]"},
                                                                {"frequency_penalty", "[0]"},
                                                                {"diversity_penalty", "[0]"},
                                                                {"no_repeat_ngram_size", "[0]"},
                                                                {"encoder_no_repeat_ngram_size", "[0]"},
                                                                {"num_beams", "[1]"},
                                                                {"num_beam_groups", "[1]"},
                                                                {"min_length", "[0]"},
                                                                {"min_new_tokens", "[0]"},
                                                                {"stop_strings", "[[]]"},
                                                                {"bad_words_ids", "[[]]"},
                                                                {"force_words_ids", "[[]]"},
                                                                {"sequence_bias", "[[], {}]"},
                                                                {"suppress_tokens", "[[]]"},
                                                                {"begin_suppress_tokens", "[[]]"},
                                                                {"forced_bos_token_id", "[]"},
                                                                {"forced_eos_token_id", "[]"},
                                                                {"exponential_decay_length_penalty", "[]"},
                                                                {"constraints", "[[]]"},
                                                                {"watermarking_config", "[]"},
                                                                {"dola_layers", "[]"},
                                                                {"renormalize_logits", "[false]"},
                                                                {"token_healing", "[false]"}};

void warn_of_what_is_not_followed(const Fields& fields, GenerationDefaults& defaults) {
  for (const auto& [key, idle] : kNotFollowed) {
    const Json* value = fields.find(key);
    if (!value) continue;
    const Json values = Json::parse(idle);
    if (std::find(values.begin(), values.end(), *value) != values.end()) continue;
    defaults.warnings.push_back(
        fmt::format("{}: \"{}\" asks for what this build does not do; answers are made without it",
                    fields.origin(), key));
  }
}

// The mapped file, or nothing where there is none. A link that leads nowhere is not nothing: it is a download
// that was cut.
std::optional<MappedFile> try_open(const fs::path& path, std::size_t max_bytes = kLimits.max_bytes) {
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(path, ignored))) return std::nullopt;
  return MappedFile::open_text(path, max_bytes);
}

// For files that only conversations need: one that cannot be read is left out, with a warning.
template <class Read>
void read_if_possible(const fs::path& path, GenerationDefaults& defaults, Read read,
                      std::size_t max_bytes = kLimits.max_bytes) {
  try {
    if (const auto file = try_open(path, max_bytes)) read(file->text());
  } catch (const Error& error) {
    defaults.warnings.push_back(fmt::format("{}; the file is left out", error.what()));
  }
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
  defaults.temperature = clamped(fields, "temperature", {0.0, 100.0}, {0.0, 2.0}, defaults);
  // At 0 the likeliest token alone is kept.
  defaults.top_p = clamped(fields, "top_p", {0.0, 1.0}, {kLeastTopP, 1.0}, defaults);
  defaults.min_p = fields.try_number("min_p", {0.0, 1.0});
  defaults.top_k = fields.try_int("top_k", -1, kMaxInt);
  defaults.repetition_penalty = clamped(fields, "repetition_penalty", {1e-6, 100.0}, {0.01, 100.0}, defaults);
  defaults.max_new_tokens = fields.try_int("max_new_tokens", 1, kMaxInt);
  warn_of_what_is_not_followed(fields, defaults);
}

void merge_tokenizer_config(std::string_view text, const std::string& origin, GenerationDefaults& defaults) {
  const Json json = parse_json(text, origin, kLimits);
  const Fields fields(json, origin);
  defaults.chat_template = read_template(fields, defaults);
  read_tokens(fields, defaults);
  const Json* add_bos = fields.find("add_bos_token");
  if (add_bos && !add_bos->is_boolean()) {
    warn(fields, "add_bos_token", *add_bos, "true or false", defaults);
  } else {
    defaults.add_bos_token = fields.try_bool("add_bos_token");
  }
}

void merge_special_tokens_map(std::string_view text, const std::string& origin,
                              GenerationDefaults& defaults) {
  const Json json = parse_json(text, origin, kLimits);
  read_tokens(Fields(json, origin), defaults);
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
  const fs::path tokens = folder / "special_tokens_map.json";
  read_if_possible(tokens, defaults,
                   [&](std::string_view text) { merge_special_tokens_map(text, tokens.string(), defaults); });
  // A template in a file of its own wins over the copy in tokenizer_config.json.
  const fs::path json_path = folder / "chat_template.json";
  read_if_possible(json_path, defaults, [&](std::string_view text) {
    const Json json = parse_json(text, json_path.string(), kLimits);
    std::string found = read_template(Fields(json, json_path.string()), defaults);
    if (!found.empty()) defaults.chat_template = std::move(found);
  });
  const fs::path jinja_path = folder / "chat_template.jinja";
  const auto read_jinja = [&](std::string_view text) {
    QUIRE_CHECK_KIND(kCorruptFile, !text.empty(), "{}: is empty", jinja_path.string());
    defaults.chat_template = text;
  };
  read_if_possible(jinja_path, defaults, read_jinja, kMaxTemplateBytes);
  return defaults;
}

}  // namespace quire
