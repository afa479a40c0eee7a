#include "quire/model.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "facade/model_impl.h"

namespace quire {
namespace {

constexpr std::int64_t kMaxTokens = 512;  // of an answer, unless told otherwise

// Authors who say nothing, or "do not sample", get the likeliest token.
SamplingParams default_params(const GenerationDefaults& defaults) {
  SamplingParams params;
  const bool is_sampled = defaults.do_sample.value_or(defaults.temperature.has_value());
  params.temperature = is_sampled ? defaults.temperature.value_or(1.0) : 0.0;
  if (is_sampled) {
    params.top_p = defaults.top_p.value_or(1.0);
    params.top_k = defaults.top_k.value_or(0);
    params.min_p = defaults.min_p.value_or(0.0);
  }
  params.repetition_penalty = defaults.repetition_penalty.value_or(1.0);
  params.max_tokens = std::min<std::int64_t>(kMaxTokens, defaults.max_new_tokens.value_or(kMaxTokens));
  return params;
}

nlohmann::ordered_json to_json(const std::vector<ChatMessage>& messages) {
  auto list = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages)
    list.push_back({{"role", message.role}, {"content", message.content}});
  return list;
}

std::vector<std::string> warnings_of(const std::filesystem::path& folder, const LoadedEngine& loaded) {
  std::vector<std::string> warnings = loaded.defaults.warnings;
  for (const std::string& key : loaded.config.rope.unknown_keys) {
    warnings.push_back(fmt::format("{}: the RoPE parameter \"{}\" is not known and changes nothing",
                                   (folder / "config.json").string(), key));
  }
  return warnings;
}

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

ModelInfo model_info(const std::filesystem::path& folder, const LoadedEngine& loaded, double load_s) {
  const ModelConfig& config = loaded.config;
  const KvCacheConfig& cache = loaded.engine_config.kv_cache;
  Device& device = loaded.runner->device();
  ModelInfo info;
  info.folder = folder.string();
  info.architecture = config.architecture;
  info.type = to_string(config.dtype);
  info.num_layers = config.num_layers;
  info.hidden_dim = config.hidden_dim;
  info.num_qo_heads = config.num_qo_heads;
  info.num_kv_heads = config.num_kv_heads;
  info.vocab_size = config.vocab_size;
  info.context_len = loaded.core->scheduler().max_len();
  info.eos_tokens = loaded.engine_config.eos_tokens;
  info.defaults = default_params(loaded.defaults);
  info.warnings = warnings_of(folder, loaded);
  info.device = describe(device.caps());
  info.attention_backend = loaded.runner->decoder().backend();
  info.page_size = cache.page_size;
  info.num_pages = cache.num_pages - 1;  // one is the null page
  info.cache_bytes = static_cast<double>(page_bytes(device, config, cache.page_size)) * cache.num_pages;
  info.load_s = load_s;
  info.kernels_s = loaded.kernels_s;
  return info;
}

std::optional<ChatFormat> load_chat_format(const LoadedEngine& loaded, bool trusts_special_tokens,
                                           std::string& why_not) {
  try {
    auto chat = ChatFormat::load(loaded.defaults, loaded.tokenizer, trusts_special_tokens);
    why_not = chat ? "" : "the model has no chat template";
    return chat;
  } catch (const Error& e) {
    why_not = fmt::format("the model's chat template cannot be used: {}", e.what());
    return std::nullopt;
  }
}

Model open_model(const std::filesystem::path& folder, const ModelOptions& options,
                 const StepBoundMaker& make_step_bound) {
  const double start_s = now_s();
  LoadedEngine loaded = load_engine(folder, options.engine, options.progress);
  auto impl = std::make_unique<Model::Impl>();
  impl->info = model_info(folder, loaded, now_s() - start_s);
  if (options.uses_chat_format) {
    impl->chat = load_chat_format(loaded, options.trusts_special_tokens, impl->info.why_no_chat);
  } else {
    impl->info.why_no_chat = "the model was opened without its chat format";
  }
  impl->engine_config = loaded.engine_config;
  impl->defaults = loaded.defaults;
  impl->tokenizer = loaded.tokenizer;
  StepBound bound = make_step_bound ? make_step_bound(loaded) : StepBound{};
  TextEncoder encode = [tokenizer = loaded.tokenizer](std::string_view text) {
    return tokenizer->encode(text, {});
  };
  impl->engine = std::make_unique<Engine>(std::make_unique<Engine::Impl>(
      std::move(loaded.core), options.engine.max_num_requests, std::move(encode), std::move(bound)));
  return Model(std::move(impl));
}

Model Model::open(const std::string& folder, const ModelOptions& options) {
  return open_model(folder, options);
}

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

const ModelInfo& Model::info() const { return impl_->info; }
Engine& Model::engine() { return *impl_->engine; }

RequestStream Model::chat(const std::vector<ChatMessage>& messages,
                          const std::optional<SamplingParams>& params) {
  return engine().submit(encode_chat(messages), params.value_or(info().defaults));
}

RequestStream Model::complete(std::string_view text, const std::optional<SamplingParams>& params) {
  return engine().submit(encode(text), params.value_or(info().defaults));
}

std::vector<std::int32_t> Model::encode_chat(const std::vector<ChatMessage>& messages,
                                             bool add_generation_prompt) const {
  QUIRE_CHECK_KIND(kUnsupported, impl_->chat, "no chat format: {}", impl_->info.why_no_chat);
  return impl_->chat->encode(to_json(messages), add_generation_prompt);
}

std::vector<std::int32_t> Model::encode(std::string_view text, const TextOptions& options) const {
  return impl_->tokenizer->encode(text, {.add_special_tokens = options.add_special_tokens,
                                         .parse_special = options.parses_special_tokens});
}

std::string Model::decode(std::span<const std::int32_t> tokens, bool skip_special_tokens) const {
  return impl_->tokenizer->decode(tokens, skip_special_tokens);
}

Engine Engine::open(const std::string& model_dir, const EngineOptions& options) {
  Model model = open_model(model_dir, {.engine = options, .uses_chat_format = false});
  return std::move(model.engine());
}

}  // namespace quire
