#include "server/later_features.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "server/api_error.h"

namespace quire {
namespace {

constexpr std::size_t kMaxTools = 128;
constexpr std::size_t kMaxListEntries = 1024;
constexpr std::array<std::string_view, 7> kSchemaTypes = {"object",  "array",   "string", "number",
                                                          "integer", "boolean", "null"};

[[noreturn]] void refuse(const std::string& field) {
  throw ApiError(501, fmt::format("`{}` is not supported by this build", field), field);
}

void check_function(const RequestFields& tool, std::set<std::string>& names) {
  if (tool.string("type").value_or("") != "function") tool.fail("type", "\"function\"");
  const Json* function = tool.object("function");
  if (function == nullptr) tool.fail("function", "an object");
  const RequestFields fields(*function, tool.path_of("function."));
  const std::string name = fields.string("name").value_or("");
  const bool is_word =
      !name.empty() && name.size() <= 64 &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
          std::string::npos;
  if (!is_word) fields.fail("name", "a name of 1 to 64 letters, digits, dots, dashes and underscores");
  if (!names.insert(name).second) {
    throw_bad_request(fields.path_of("name"), "`tools` holds two functions named \"{}\"", name);
  }
  if (const Json* parameters = fields.object("parameters")) {
    const RequestFields schema(*parameters, fields.path_of("parameters."));
    const auto type = schema.string("type");
    if (type && std::find(kSchemaTypes.begin(), kSchemaTypes.end(), *type) == kSchemaTypes.end()) {
      schema.fail("type", "a type of JSON Schema");
    }
  }
}

std::set<std::string> check_tools(const RequestFields& fields) {
  std::set<std::string> names;
  const Json* tools = fields.array("tools", kMaxTools);
  if (tools == nullptr) return names;
  if (tools->empty()) fields.fail("tools", "a list of at least 1 tool");
  for (std::size_t i = 0; i < tools->size(); ++i) {
    if (!(*tools)[i].is_object())
      throw_bad_request("tools", "`tools` holds {}, must hold objects", show((*tools)[i]));
    check_function(RequestFields((*tools)[i], fmt::format("tools[{}].", i)), names);
  }
  return names;
}

// Says whether the caller wants no tool to be called whatever tools there are.
bool check_tool_choice(const RequestFields& fields, const std::set<std::string>& names) {
  const Json* choice = fields.find("tool_choice");
  if (choice == nullptr) return false;
  if (choice->is_string()) {
    const auto& word = choice->get_ref<const std::string&>();
    if (word == "none") return true;
    if (word == "auto" && !names.empty()) return false;
    if (word != "auto" && word != "required")
      fields.fail("tool_choice", "\"none\", \"auto\", \"required\" or a function");
    if (names.empty())
      throw_bad_request("tool_choice", "`tool_choice` is \"{}\", but there are no tools", word);
    return false;
  }
  if (!choice->is_object()) fields.fail("tool_choice", "a string or an object");
  const RequestFields named(*choice, "tool_choice.");
  const Json* function = named.object("function");
  if (function == nullptr) named.fail("function", "an object");
  const RequestFields function_fields(*function, "tool_choice.function.");
  const auto name = function_fields.string("name");
  if (!name || !names.contains(*name)) function_fields.fail("name", "the name of one of the tools");
  return false;
}

void check_response_format(const RequestFields& fields) {
  const Json* format = fields.object("response_format");
  if (format == nullptr) return;
  const RequestFields inner(*format, "response_format.");
  const std::string type = inner.string("type").value_or("");
  if (type == "text") return;
  if (type == "json_schema") {
    const Json* named = inner.object("json_schema");
    if (named == nullptr) inner.fail("json_schema", "an object");
    const RequestFields schema(*named, "response_format.json_schema.");
    if (schema.object("schema") == nullptr) schema.fail("schema", "an object");
  } else if (type != "json_object" && type != "structural_tag") {
    inner.fail("type", "\"text\", \"json_object\", \"json_schema\" or \"structural_tag\"");
  }
  refuse("response_format");
}

void check_structured_outputs(const RequestFields& fields) {
  const Json* wanted = fields.object("structured_outputs");
  if (wanted == nullptr) return;
  const RequestFields inner(*wanted, "structured_outputs.");
  int num_kinds = 0;
  for (const char* kind : {"json", "regex", "choice", "grammar", "json_object", "structural_tag"}) {
    const Json* value = inner.find(kind);
    num_kinds += value != nullptr;
    if (value != nullptr && (*value == "" || *value == Json::array())) inner.fail(kind, "not empty");
  }
  if (num_kinds != 1) {
    throw_bad_request("structured_outputs",
                      "`structured_outputs` must hold one of json, regex, choice, grammar, json_object, "
                      "structural_tag, got {}",
                      num_kinds);
  }
  for (const char* kind : {"regex", "grammar"}) inner.string(kind);
  inner.strings("choice", kMaxListEntries);
  inner.boolean("json_object");
  refuse("structured_outputs");
}

// Fields of other servers' dialects that would change the answer, whatever they hold.
constexpr const char* kRefused[] = {
    // constraints
    "guided_json", "guided_regex", "guided_choice", "guided_grammar", "guided_decoding_backend",
    "guided_whitespace_pattern", "regex", "ebnf", "json_schema", "grammar", "structural_tag", "stop_regex",
    "format", "bad_words_ids", "force_words_ids", "sequence_bias", "suppress_tokens", "begin_suppress_tokens",
    "custom_token_bans", "banned_tokens", "banned_strings", "negative_prompt",
    // tools of before, other inputs and outputs
    "functions", "function_call", "prompt_embeds", "input_ids", "input_embeds", "audio",
    "mm_processor_kwargs", "image_data", "multi_modal_data", "web_search_options", "images",
    // other models, processors and samplers
    "lora_path", "lora", "adapter_id", "logits_processors", "custom_logit_processor", "samplers", "template",
    "kv_transfer_params", "vllm_xargs", "session_params", "custom_params", "sampler_order",
    "sampler_priority", "options"};

// Fields that ask for nothing while they hold one of these values (JSON); anything else would change the
// answer.
constexpr std::pair<const char*, const char*> kRefusedUnless[] = {{"detokenize", "[true]"},
                                                                  {"spaces_between_special_tokens", "[true]"},
                                                                  {"include_reasoning", "[true]"},
                                                                  {"separate_reasoning", "[false]"},
                                                                  {"return_hidden_states", "[false]"},
                                                                  {"no_stop_trim", "[false]"},
                                                                  {"watermark", "[false]"},
                                                                  {"details", "[false]"},
                                                                  {"decoder_input_details", "[false]"},
                                                                  {"return_full_text", "[false]"},
                                                                  {"raw", "[false]"},
                                                                  {"think", "[false]"},
                                                                  {"reasoning_format", "[\"none\"]"},
                                                                  {"modalities", "[[\"text\"], []]"},
                                                                  {"verbosity", "[\"medium\"]"},
                                                                  {"truncate", "[0]"},
                                                                  {"top_n_tokens", "[0]"},
                                                                  {"typical_p", "[1]"},
                                                                  {"top_a", "[0]"},
                                                                  {"tfs_z", "[1]"},
                                                                  {"top_n_sigma", "[-1, 0]"},
                                                                  {"mirostat", "[0]"},
                                                                  {"dynatemp_range", "[0]"},
                                                                  {"xtc_probability", "[0]"},
                                                                  {"dry_multiplier", "[0]"},
                                                                  {"repeat_penalty", "[1]"},
                                                                  {"n_keep", "[0]"},
                                                                  {"n_probs", "[0]"},
                                                                  {"min_new_tokens", "[0]"},
                                                                  {"no_repeat_ngram_size", "[0]"},
                                                                  {"num_beams", "[1]"},
                                                                  {"num_beam_groups", "[1]"},
                                                                  {"diversity_penalty", "[0]"},
                                                                  {"do_sample", "[true]"},
                                                                  {"penalty_alpha", "[0]"},
                                                                  {"guidance_scale", "[1]"},
                                                                  {"cfg_scale", "[1]"},
                                                                  {"encoder_repetition_penalty", "[1]"},
                                                                  {"epsilon_cutoff", "[0]"},
                                                                  {"eta_cutoff", "[0]"},
                                                                  {"smoothing_factor", "[0]"},
                                                                  {"dynamic_temperature", "[false]"},
                                                                  {"mirostat_mode", "[0]"},
                                                                  {"rep_pen", "[1]"},
                                                                  {"typical", "[1]"},
                                                                  {"tfs", "[1]"},
                                                                  {"ban_eos_token", "[false]"},
                                                                  {"add_bos_token", "[true]"}};

void check_idle(const RequestFields& fields, const char* name, const char* idle) {
  const Json* value = fields.find(name);
  if (value == nullptr) return;
  const Json values = Json::parse(idle);
  if (std::find(values.begin(), values.end(), *value) == values.end()) refuse(fields.path_of(name));
}

// Other names for where an answer ends: the limit must not be overlooked.
void check_other_names(const RequestFields& fields) {
  constexpr std::pair<const char*, const char*> kNames[] = {
      {"max_new_tokens", "max_tokens"}, {"n_predict", "max_tokens"}, {"num_predict", "max_tokens"},
      {"max_length", "max_tokens"},     {"stop_sequences", "stop"},  {"stop_sequence", "stop"},
      {"stop_words", "stop"},           {"stop_strings", "stop"},    {"stop_token", "stop"}};
  for (const auto& [name, ours] : kNames) {
    if (fields.find(name) == nullptr) continue;
    throw_bad_request(name, "`{}` is not a field of this interface; use `{}`", name, ours);
  }
}

// Fields whose mere presence asks for something else than what would be done.
void check_rare_fields(const RequestFields& fields) {
  if (fields.boolean("use_beam_search").value_or(false)) refuse("use_beam_search");
  if (fields.boolean("continue_final_message").value_or(false)) {
    if (fields.boolean("add_generation_prompt").value_or(true)) {
      throw_bad_request("continue_final_message",
                        "`continue_final_message` and `add_generation_prompt` cannot both be true");
    }
    refuse("continue_final_message");
  }
  if (!fields.string("suffix").value_or("").empty()) refuse("suffix");
  if (fields.find("allowed_token_ids") != nullptr) {
    if (fields.token_ids("allowed_token_ids", 1 << 20).empty()) fields.fail("allowed_token_ids", "not empty");
    refuse("allowed_token_ids");
  }
  if (!fields.strings("bad_words", kMaxListEntries).empty()) refuse("bad_words");
  if (fields.integer("truncate_prompt_tokens")) refuse("truncate_prompt_tokens");
  if (fields.integer("thinking_token_budget")) refuse("thinking_token_budget");
  for (const char* name : kRefused) {
    if (fields.find(name) != nullptr) refuse(name);
  }
  for (const auto& [name, idle] : kRefusedUnless) check_idle(fields, name, idle);
}

}  // namespace

void refuse_later_features(const RequestFields& fields) {
  const std::set<std::string> tools = check_tools(fields);
  const bool wants_none = check_tool_choice(fields, tools);
  fields.boolean("parallel_tool_calls");
  check_response_format(fields);
  check_structured_outputs(fields);
  check_rare_fields(fields);
  check_other_names(fields);
  if (!tools.empty() && !wants_none) refuse("tools");
}

void refuse_later_features_of_chat(const RequestFields& fields) {
  if (fields.boolean("echo").value_or(false)) refuse("echo");
}

void refuse_later_features_of_message(const RequestFields& fields) {
  for (const char* name : {"function_call", "audio"}) {
    if (fields.find(name) != nullptr) refuse(fields.path_of(name));
  }
  check_idle(fields, "prefix", "[false]");  // an answer that has begun
  check_idle(fields, "partial", "[false]");
}

}  // namespace quire
