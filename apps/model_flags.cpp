#include "apps/model_flags.h"

#include <algorithm>
#include <limits>

#include "apps/console.h"
#include "apps/model_folder.h"
#include "apps/number_checks.h"
#include "attention/attention.h"
#include "base/check.h"
#include "engine/engine_impl.h"

namespace quire {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMaxTokens = 512;  // of an answer, unless told otherwise

// Absent flags leave what generation_config.json says; authors who say nothing, or "do not sample", get the
// likeliest token.
SamplingParams merged_params(const ModelFlags& flags, const GenerationDefaults& defaults) {
  SamplingParams params = flags.params;
  const bool is_sampled = defaults.do_sample.value_or(defaults.temperature.has_value());
  params.temperature = flags.temperature.value_or(is_sampled ? defaults.temperature.value_or(1.0) : 0.0);
  if (flags.top_p || is_sampled) params.top_p = flags.top_p.value_or(defaults.top_p.value_or(1.0));
  if (flags.top_k || is_sampled) params.top_k = flags.top_k.value_or(defaults.top_k.value_or(0));
  if (flags.min_p || is_sampled) params.min_p = flags.min_p.value_or(defaults.min_p.value_or(0.0));
  params.repetition_penalty = flags.repetition_penalty.value_or(defaults.repetition_penalty.value_or(1.0));
  params.max_tokens = flags.max_tokens.value_or(
      std::min<std::int64_t>(kMaxTokens, defaults.max_new_tokens.value_or(kMaxTokens)));
  return params;
}

void log_model(const fs::path& folder, const LoadedEngine& loaded, double load_s) {
  const ModelConfig& config = loaded.config;
  const KvCacheConfig& cache = loaded.engine_config.kv_cache;
  Device& device = loaded.runner->device();
  const auto cache_bytes = static_cast<double>(page_bytes(device, config, cache.page_size)) * cache.num_pages;
  log("model: {} ({}, {} layers, hidden {}, {} heads over {} KV heads, {}), loaded in {:.1f} s",
      folder.string(), config.architecture, config.num_layers, config.hidden_dim, config.num_qo_heads,
      config.num_kv_heads, to_string(config.dtype), load_s);
  log("device: {}; attention: {}", describe(device.caps()), loaded.runner->decoder().backend());
  for (const std::string& warning : loaded.defaults.warnings) log("warning: {}", warning);
  for (const std::string& key : config.rope.unknown_keys) {
    log("warning: {}: the RoPE parameter \"{}\" is not known and changes nothing",
        (folder / "config.json").string(), key);
  }
  if (loaded.kernels_s >= 0.1) log("kernels: ready in {:.1f} s", loaded.kernels_s);
  log("kv cache: {} pages of {} tokens, {}", cache.num_pages - 1, cache.page_size, human_bytes(cache_bytes));
}

}  // namespace

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

EngineOptions engine_options(const Program& program, const ModelFlags& flags, const fs::path& folder) {
  EngineOptions options = flags.options;
  set_device(flags.device, options);
  options.prefix_cache = !flags.no_prefix_cache;
  options.kv_cache_bytes = static_cast<std::int64_t>(flags.kv_memory_bytes);
  if (flags.kv_pages.has_value()) {
    const auto device = program.targets.open(flags.device.device, flags.device.options);
    const std::size_t bytes = page_bytes(*device, load_model_config(folder), options.page_size);
    options.kv_cache_bytes = (*flags.kv_pages + 1) * static_cast<std::int64_t>(bytes);  // and the null page
  }
  return options;
}

LoadedEngine load_model(const fs::path& folder, const EngineOptions& options,
                        const std::function<void()>& on_progress) {
  const double start_s = now_s();
  LoadedEngine loaded = [&] {
    Progress progress("loading " + folder.filename().string());
    return load_engine(folder, options, [&](double fraction, const char* note) {
      progress.update(fraction, note);
      if (on_progress) on_progress();
    });
  }();
  log_model(folder, loaded, now_s() - start_s);
  return loaded;
}

OpenModel open_model(const Program& program, const ModelFlags& flags) {
  const fs::path folder = model_folder(flags.model);
  EngineOptions options = engine_options(program, flags, folder);
  options.max_num_seqs = 1;
  LoadedEngine loaded = load_model(folder, options);
  OpenModel model;
  model.tokenizer = loaded.tokenizer;
  model.defaults = loaded.defaults;
  model.params = merged_params(flags, loaded.defaults);
  model.context_len = loaded.core->scheduler().max_len();
  if (!flags.raw) model.chat = load_chat_format(model.defaults, model.tokenizer);
  if (!flags.raw && !model.chat) log("prompts are sent as plain text");
  model.engine = std::make_unique<Engine>(
      std::make_unique<Engine::Impl>(std::move(loaded.core), options.max_num_requests, TextEncoder{}));
  return model;
}

std::vector<std::int32_t> OpenModel::encode(const nlohmann::ordered_json& messages) const {
  if (chat) return chat->encode(messages, true);
  const std::string& text = messages.back().at("content").get_ref<const std::string&>();
  return tokenizer->encode(text, {.add_special_tokens = true, .parse_special = true});
}

std::optional<ChatFormat> load_chat_format(const GenerationDefaults& defaults,
                                           std::shared_ptr<const Tokenizer> tokenizer, bool trusts_messages) {
  try {
    auto chat = ChatFormat::load(defaults, std::move(tokenizer), trusts_messages);
    if (!chat) log("the model has no chat template");
    return chat;
  } catch (const Error& e) {
    log("the model's chat template cannot be used: {}", e.what());
    return std::nullopt;
  }
}

}  // namespace quire
