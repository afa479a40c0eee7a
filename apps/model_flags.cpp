#include "apps/model_flags.h"

#include <limits>

#include "apps/console.h"
#include "apps/model_folder.h"
#include "apps/number_checks.h"
#include "attention/attention.h"
#include "base/check.h"

namespace quire {

namespace fs = std::filesystem;

fs::path find_demo_model() {
  std::error_code ignored;
  const fs::path binary = fs::read_symlink("/proc/self/exe", ignored);
  const fs::path places[] = {binary.parent_path() / "../share/quire/models/demo",
                             binary.parent_path() / "models/demo", QUIRE_DEMO_MODEL_DIR};
  for (const fs::path& place : places) {
    if (fs::exists(place / "config.json", ignored)) return fs::weakly_canonical(place);
  }
  throw_error(ErrorKind::kNotFound,
              "the demo model is not installed (looked in {}, {} and {}); name a model directory",
              places[0].string(), places[1].string(), places[2].string());
}

fs::path model_folder(const std::string& model) {
  return model.empty() ? find_demo_model() : find_model_folder(model);
}

void add_model_argument(CLI::App& command, ModelFlags& flags) {
  with_env(command.add_option("MODEL,--model", flags.model,
                              "Directory in the Hugging Face layout (default: the demo model)"))
      ->type_name("DIR");
}

void add_engine_flags(CLI::App& command, ModelFlags& flags) {
  EngineOptions& options = flags.options;
  const auto group = [](CLI::Option* option) { return with_env(option)->group("Memory and batching"); };
  group(command.add_option("--max-model-len", options.max_model_len,
                           "Longest sequence in tokens; 0 = the model's own limit"))
      ->check(not_negative())
      ->capture_default_str();
  group(command.add_option("--page-size", options.page_size, "Tokens in a page of keys and values"))
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  CLI::Option* pages =
      group(command.add_option("--kv-pages", flags.kv_pages, "Pages of the cache (default: by free memory)"))
          ->check(CLI::Range(1, 1 << 30));
  group(command.add_option("--kv-memory", flags.kv_memory_bytes, "Memory of the cache instead, e.g. 2GB"))
      ->transform(CLI::AsSizeValue(true))
      ->type_name("SIZE")
      ->excludes(pages);
  group(command.add_option("--max-batched-tokens", options.max_num_batched_tokens,
                           "Tokens computed in one step"))
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  options.step_time_target_ms = kStepTimeTargetMs;
  add_step_time_flag(command, options)->group("Memory and batching");
  group(command.add_flag("--no-prefix-cache", flags.no_prefix_cache,
                         "Compute equal beginnings of prompts anew"));
  group(command.add_flag("--batch-invariant", options.batch_invariant,
                         "Bits that do not depend on batching or threads"));
  add_backend_flag(command, options);
  add_device_flags(command, flags.device);
}

void add_backend_flag(CLI::App& command, EngineOptions& options) {
  std::vector<std::string> names;
  for (const auto& backend : attention_backends()) names.emplace_back(backend->name());
  const std::string text = fmt::format("Attention: {} (default: the first that can)", fmt::join(names, ", "));
  with_env(command.add_option("--attention-backend", options.attention_backend, text))->type_name("NAME");
}

CLI::Option* add_step_time_flag(CLI::App& command, EngineOptions& options) {
  return with_env(command.add_option("--step-time-target", options.step_time_target_ms,
                                     "Most milliseconds of a step while answers run; 0 = any"))
      ->check(not_negative(1e6))
      ->type_name("MS")
      ->capture_default_str();
}

void add_step_flags(CLI::App& command, EngineOptions& options) {
  const auto group = [](CLI::Option* option) {
    with_env(option)->check(whole_number(0, 1))->group("Memory and batching")->type_name("0|1");
  };
  group(command.add_option("--graphs", options.graphs,
                           "Record decode steps and start them as a whole (default: on a GPU)"));
  group(command.add_option("--run-ahead", options.run_ahead,
                           "Start a step before the tokens of the last are back (default: on a GPU)"));
}

void add_sampling_flags(CLI::App& command, ModelFlags& flags) {
  SamplingParams& params = flags.params;
  const auto group = [](CLI::Option* option) { return option->group("Sampling"); };
  group(command.add_option("--max-tokens", flags.max_tokens,
                           "Longest answer (default: the model's, at most 512)"))
      ->check(above_zero());
  group(command.add_option("--temperature", flags.temperature,
                           "0 = always the likeliest token (default: the model's, else 0)"))
      ->check(not_negative(2));
  group(command.add_option("--top-p", flags.top_p, "Smallest set of tokens with this probability"))
      ->check(above_zero(1));
  group(command.add_option("--top-k", flags.top_k, "The k likeliest tokens; 0 = all"))
      ->check(whole_number(-1, std::numeric_limits<std::int32_t>::max()));
  group(command.add_option("--min-p", flags.min_p, "Tokens at least this likely, relative to the likeliest"))
      ->check(not_negative(1));
  group(
      command.add_option("--repetition-penalty", flags.repetition_penalty, "Above 1: less of what was said"))
      ->check(above_zero(100));
  group(command.add_option("--presence-penalty", params.presence_penalty,
                           "Once for every token of the answer so far"))
      ->check(CLI::Range(-2.0, 2.0));
  group(command.add_option("--frequency-penalty", params.frequency_penalty, "For each time it was said"))
      ->check(CLI::Range(-2.0, 2.0));
  group(command.add_option("--seed", params.seed, "Equal seeds give equal answers"));
  group(command.add_option("--stop", params.stop, "End the answer before this text (up to 4 times)"))
      ->take_all()
      ->allow_extra_args(false);
  group(
      command.add_option("--system", flags.system, "System message, where the model's chat format has one"));
  group(command.add_flag("--raw", flags.raw, "Plain text to the model, no chat format"));
}

EngineOptions engine_options(const ModelFlags& flags) {
  EngineOptions options = flags.options;
  set_device(flags.device, options);
  options.prefix_cache = !flags.no_prefix_cache;
  options.kv_cache_bytes = static_cast<std::int64_t>(flags.kv_memory_bytes);
  options.kv_cache_pages = flags.kv_pages.value_or(0);
  return options;
}

void log_model(const ModelInfo& info) {
  log("model: {} ({}, {} layers, hidden {}, {} heads over {} KV heads, {}), loaded in {:.1f} s", info.folder,
      info.architecture, info.num_layers, info.hidden_dim, info.num_qo_heads, info.num_kv_heads, info.type,
      info.load_s);
  log("device: {}; attention: {}", info.device, info.attention_backend);
  for (const std::string& warning : info.warnings) log("warning: {}", warning);
  if (info.kernels_s >= 0.1) log("kernels: ready in {:.1f} s", info.kernels_s);
  log("kv cache: {} pages of {} tokens, {}", info.num_pages, info.page_size, human_bytes(info.cache_bytes));
}

Model load_model(const fs::path& folder, ModelOptions options, const std::function<void()>& on_progress,
                 const StepBoundMaker& make_step_bound) {
  Model model = [&] {
    Progress progress("loading " + folder.filename().string());
    options.progress = [&](double fraction, const char* stage) {
      progress.update(fraction, stage);
      if (on_progress) on_progress();
    };
    return open_model(folder, options, make_step_bound);
  }();
  log_model(model.info());
  return model;
}

Model open_model(const ModelFlags& flags) {
  ModelOptions options{.engine = engine_options(flags), .uses_chat_format = !flags.raw};
  options.engine.max_num_seqs = 1;
  Model model = load_model(model_folder(flags.model), std::move(options));
  if (!flags.raw && !model.has_chat_format())
    log("{}\nprompts are sent as plain text", model.info().why_no_chat);
  return model;
}

SamplingParams sampling_params(const ModelFlags& flags, const ModelInfo& info) {
  SamplingParams params = flags.params;
  const SamplingParams& advised = info.defaults;
  params.temperature = flags.temperature.value_or(advised.temperature);
  params.top_p = flags.top_p.value_or(advised.top_p);
  params.top_k = flags.top_k.value_or(advised.top_k);
  params.min_p = flags.min_p.value_or(advised.min_p);
  params.repetition_penalty = flags.repetition_penalty.value_or(advised.repetition_penalty);
  params.max_tokens = flags.max_tokens.has_value() ? flags.max_tokens : advised.max_tokens;
  return params;
}

std::vector<std::int32_t> encode(const Model& model, const std::vector<ChatMessage>& messages) {
  if (model.has_chat_format()) return model.encode_chat(messages);
  return model.encode(messages.back().content, {.add_special_tokens = true, .parses_special_tokens = true});
}

}  // namespace quire
