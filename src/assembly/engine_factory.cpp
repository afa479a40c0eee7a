#include "assembly/engine_factory.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "targets/all/linked_targets.h"
#include "text/detokenizer.h"
#include "tile/ranges.h"

namespace quire {
namespace {

class StreamDecoder : public TextDecoder {
 public:
  StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, std::span<const std::int32_t> prompt,
                bool skip_special_tokens)
      : tokenizer_(std::move(tokenizer)), detokenizer_(*tokenizer_, skip_special_tokens) {
    detokenizer_.follow(prompt);
  }
  std::string push(std::int32_t token) override { return detokenizer_.push(token); }
  std::string finish() override { return detokenizer_.finish(); }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  Detokenizer detokenizer_;
};

DeviceOptions device_options(const EngineOptions& options) {
  DeviceOptions device;
  device.device_idx = options.device_idx;
  device.cache_dir = options.kernel_cache_dir;
  device.own_kernels_only = options.own_kernels_only;
  device.settings = {{"cpu.threads", std::to_string(options.num_threads)},
                     {"cpu.isa", options.cpu_isa},
                     {"cuda.nvrtc", options.nvrtc_path},
                     {"cuda.cublas", options.cublas_path}};
  return device;
}

void check_cache_options(const EngineOptions& options) {
  QUIRE_CHECK(options.page_size >= 1 && options.page_size <= 65536,
              "page_size must be 1 to 65536 tokens, got {}", options.page_size);
  QUIRE_CHECK(options.kv_cache_bytes >= 0, "kv_cache_bytes must not be negative, got {}",
              options.kv_cache_bytes);
  QUIRE_CHECK(options.kv_cache_pages >= 0 && options.kv_cache_pages <= 1 << 30,
              "kv_cache_pages must be 0 to {}, got {}", 1 << 30, options.kv_cache_pages);
  QUIRE_CHECK(options.kv_cache_bytes == 0 || options.kv_cache_pages == 0,
              "the cache cannot have both {} bytes and {} pages: set one of kv_cache_bytes, kv_cache_pages",
              options.kv_cache_bytes, options.kv_cache_pages);
}

int check_model_len(const ModelConfig& config, const EngineOptions& options) {
  QUIRE_CHECK(options.max_model_len >= 0 && options.max_model_len <= config.max_position,
              "max_model_len must be 0 (the model's own) to {}, got {}", config.max_position,
              options.max_model_len);
  return options.max_model_len > 0 ? options.max_model_len : config.max_position;
}

// Bytes that the cache may take, if nobody says how many, of what is free now. The host's memory is for
// others too; of a device's own, what steps need and a twentieth for kernels, graphs and libraries are left.
std::int64_t cache_budget(const Device& device, const ModelConfig& config, const EngineOptions& options) {
  if (options.kv_cache_bytes > 0) return options.kv_cache_bytes;
  const DeviceMemory memory = device.memory();
  if (memory.is_host) return static_cast<std::int64_t>(memory.free_bytes / 3);
  const std::size_t left =
      step_bytes(config, options.max_num_seqs, options.max_num_batched_tokens) + memory.total_bytes / 20;
  QUIRE_CHECK_KIND(kExhausted, memory.free_bytes > left,
                   "{} bytes of {} are free beside the weights; steps need {}", memory.free_bytes,
                   memory.total_bytes, left);
  return static_cast<std::int64_t>(memory.free_bytes - left);
}

// Pages of the cache: what was asked for, or enough for every request at full length within the budget.
int choose_num_pages(const Device& device, const ModelConfig& config, const CachePlan& cache,
                     const EngineOptions& options, int max_model_len) {
  const auto bytes = static_cast<std::int64_t>(cache.page_bytes());
  KvCacheConfig smallest{2, options.page_size, false, cache.groups};
  const int of_request =
      KvCache(smallest).num_missing_pages({}, {}, max_model_len, options.max_num_batched_tokens);
  const std::int64_t wanted = std::int64_t{options.max_num_seqs} * of_request;
  // One page more than requests can hold: the null page.
  std::int64_t affordable = options.kv_cache_pages + 1;
  if (options.kv_cache_pages == 0) {
    const std::int64_t budget = cache_budget(device, config, options);
    affordable = budget / bytes;
    QUIRE_CHECK_KIND(kExhausted, affordable >= 2,
                     "a cache of {} bytes holds {} pages of {} bytes; at least 2 are needed", budget,
                     affordable, bytes);
  }
  return static_cast<int>(std::min({affordable, wanted + 1, std::int64_t{1} << 30}));
}

// Everything but the tokenizer and what depends on it.
struct Parts {
  EngineConfig engine;
  std::unique_ptr<ModelRunner> runner;
  double kernels_s = 0;
};

// Before weights are read: the name may be wrong.
void check_backend(const ModelPlan& plan, const std::string& name, const Device& device) {
  for (const LayerPlan& layer : plan.layers)
    choose_backend(name, std::get<GroupedAttention>(layer.attention).desc, device);
}

Parts make_parts(const ModelConfig& config, const EngineOptions& options, TensorSource& source,
                 const LoadProgress& progress) {
  check_cache_options(options);
  auto device = linked_targets().open(options.device, device_options(options));
  DecoderOptions decoder_options;
  decoder_options.page_size = options.page_size;
  decoder_options.max_model_len = check_model_len(config, options);
  decoder_options.batch_invariant = options.batch_invariant;
  decoder_options.max_num_seqs = std::min(options.max_num_seqs, options.max_num_batched_tokens);
  decoder_options.max_num_batched_tokens = options.max_num_batched_tokens;
  decoder_options.has_graphs = options.graphs.value_or(device->caps().runs_async);
  decoder_options.attention_backend = options.attention_backend;
  ModelPlan plan = plan_model(*device, config, options.page_size, options.batch_invariant);
  check_backend(plan, options.attention_backend, *device);
  const int max_model_len = decoder_options.max_model_len;
  // A cache in the host's memory is sized before the weights take theirs, one in a device's own by what they
  // leave.
  const bool is_host = device->memory().is_host;
  if (is_host)
    decoder_options.num_pages = choose_num_pages(*device, config, plan.cache, options, max_model_len);
  ModelWeights weights = load_model_weights(*device, config, source, progress);
  if (!is_host)
    decoder_options.num_pages = choose_num_pages(*device, config, plan.cache, options, max_model_len);
  auto decoder =
      std::make_unique<DecoderModel>(*device, config, std::move(plan), std::move(weights), decoder_options);
  if (progress) progress(1, "kernels");
  const auto start = std::chrono::steady_clock::now();
  decoder->prepare();
  const double kernels_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  EngineConfig engine;
  engine.vocab_size = config.vocab_size;
  engine.seed = options.seed;
  engine.kv_cache = {decoder_options.num_pages, options.page_size, options.prefix_cache,
                     decoder->cache_groups()};
  engine.scheduler.policy = options.policy;
  engine.scheduler.max_model_len = decoder_options.max_model_len;
  engine.scheduler.max_num_seqs = options.max_num_seqs;
  engine.scheduler.max_num_batched_tokens = options.max_num_batched_tokens;
  engine.scheduler.long_prefill_token_threshold = options.long_prefill_token_threshold;
  engine.scheduler.step_time_target_s = options.step_time_target_ms / 1000;
  const bool runs_ahead = options.run_ahead.value_or(device->caps().runs_async);
  return {engine, std::make_unique<ModelRunner>(std::move(device), std::move(decoder), runs_ahead),
          kernels_s};
}

LoadedEngine assemble(const ModelConfig& config, Parts parts, GenerationDefaults defaults,
                      std::shared_ptr<const Tokenizer> tokenizer) {
  LoadedEngine loaded;
  loaded.config = config;
  loaded.engine_config = parts.engine;
  loaded.engine_config.eos_tokens.assign(defaults.eos_ids.begin(), defaults.eos_ids.end());
  loaded.defaults = std::move(defaults);
  loaded.tokenizer = std::move(tokenizer);
  loaded.runner = parts.runner.get();
  loaded.kernels_s = parts.kernels_s;
  TextDecoderFactory make_decoder;
  if (loaded.tokenizer != nullptr) {
    make_decoder = [tokenizer = loaded.tokenizer](std::span<const std::int32_t> prompt,
                                                  bool skip_special_tokens) {
      return std::make_unique<StreamDecoder>(tokenizer, prompt, skip_special_tokens);
    };
  }
  loaded.core =
      std::make_unique<EngineCore>(loaded.engine_config, std::move(parts.runner), std::move(make_decoder));
  return loaded;
}

// Generation also ends at the token that the tokenizer's files call the end, whatever ids the others name.
void add_eos_token(const Tokenizer& tokenizer, GenerationDefaults& defaults) {
  if (defaults.eos_token.empty()) return;
  const auto id = tokenizer.token_to_id(defaults.eos_token);
  auto& ids = defaults.eos_ids;
  if (!id || std::find(ids.begin(), ids.end(), *id) != ids.end()) return;
  ids.insert(std::upper_bound(ids.begin(), ids.end(), *id), *id);
}

}  // namespace

LoadedEngine load_engine(const std::filesystem::path& folder, const EngineOptions& options,
                         const LoadProgress& progress) {
  const ModelConfig config = load_model_config(folder);
  GenerationDefaults defaults = load_generation_defaults(folder);
  auto tokenizer =
      std::make_shared<const Tokenizer>(Tokenizer::from_file((folder / "tokenizer.json").string()));
  QUIRE_CHECK_KIND(kCorruptFile, tokenizer->vocab_size() <= config.vocab_size,
                   "{}: the tokenizer has ids up to {}, the model's vocab_size is {}",
                   (folder / "tokenizer.json").string(), tokenizer->vocab_size() - 1, config.vocab_size);
  add_eos_token(*tokenizer, defaults);
  Weights weights = Weights::open(folder);
  const auto source = file_source(weights);
  Parts parts = make_parts(config, options, *source, progress);
  check_no_surplus(weights, config);
  return assemble(config, std::move(parts), std::move(defaults), std::move(tokenizer));
}

LoadedEngine make_engine(const ModelConfig& config, const EngineOptions& options, TensorSource& source,
                         const LoadProgress& progress) {
  return assemble(config, make_parts(config, options, source, progress), {}, nullptr);
}

}  // namespace quire
