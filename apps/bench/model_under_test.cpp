#include "apps/bench/model_under_test.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "apps/console.h"
#include "apps/model_flags.h"
#include "base/check.h"
#include "model/shapes.h"
#include "model/tensor_source.h"

namespace quire {

void add_model_bench_flags(CLI::App& command, ModelBenchFlags& flags) {
  flags.num_rounds = 3;
  CLI::Option* model =
      command.add_option("MODEL,--model", flags.model, "Model directory (default: the demo model)")
          ->type_name("DIR");
  command
      .add_option("--shape", flags.shape,
                  "Random weights in a well-known shape instead: " +
                      fmt::format("{}", fmt::join(shape_names(), ", ")))
      ->type_name("NAME")
      ->excludes(model);
  command.add_option("--dtype", flags.dtype, "Element type of the weights of a shape [bf16]")
      ->check(CLI::IsMember(dtype_names()));
  command.add_option("--prompt-len", flags.prompt_len, "Tokens of a prompt")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  command.add_option("--output-len", flags.output_len, "Tokens of an answer")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  command.add_option("--page-size", flags.options.page_size, "Tokens in a page")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command
      .add_option("--max-batched-tokens", flags.options.max_num_batched_tokens, "Tokens computed in one step")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command.add_flag("--batch-invariant", flags.options.batch_invariant,
                   "Bits that do not depend on batching or threads");
  add_step_flags(command, flags.options);
  add_bench_flags(command, flags);
}

std::string name_of(const ModelBenchFlags& flags) {
  if (!flags.shape.empty()) return flags.shape;
  return flags.model.empty() ? "demo" : std::filesystem::path(flags.model).filename().string();
}

LoadedEngine load_model_under_test(const ModelBenchFlags& flags, int num_requests) {
  EngineOptions options = flags.options;
  set_device(flags.device, options);
  options.prefix_cache = false;
  options.max_num_seqs = num_requests;
  options.max_model_len = flags.prompt_len + flags.output_len;
  const double start_s = now_s();
  LoadedEngine loaded = [&] {
    Progress progress("loading " + name_of(flags));
    const auto update = [&](double fraction, const char* note) { progress.update(fraction, note); };
    if (flags.shape.empty()) return load_engine(model_folder(flags.model), options, update);
    ModelConfig config = named_shape(flags.shape);
    if (!flags.dtype.empty()) config.dtype = dtype_of(flags.dtype);
    return make_engine(config, options, *random_source(1), update);
  }();
  Device& device = loaded.runner->device();
  log("{}: weights {}, ready in {:.1f} s (kernels {:.1f} s); device: {}; attention: {}", name_of(flags),
      human_bytes(weight_bytes(loaded.config)), now_s() - start_s, loaded.kernels_s, describe(device.caps()),
      loaded.runner->decoder().backend());
  return loaded;
}

double weight_bytes(const ModelConfig& config) {
  double elems = 0;
  for (const WeightSpec& spec : weight_specs(config)) {
    if (spec.role == WeightRole::kEmbedding && !config.tie_word_embeddings) continue;
    double size = 1;
    for (const std::int64_t extent : spec.shape) size *= static_cast<double>(extent);
    elems += size;
  }
  return elems * static_cast<double>(dtype_bytes(config.dtype));
}

std::vector<std::int32_t> random_tokens(int vocab_size, int num_tokens, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(num_tokens));
  for (std::int32_t& token : tokens)
    token = static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(vocab_size));
  return tokens;
}

StepBatch make_step(const LoadedEngine& model, int num_seqs, int query_len, int kv_len) {
  const int page_size = model.engine_config.kv_cache.page_size;
  StepBatch batch;
  batch.num_seqs = num_seqs;
  batch.num_tokens = num_seqs * query_len;
  batch.max_pages = ceil_div(kv_len, page_size);
  batch.max_query_len = query_len;
  batch.max_kv_len = kv_len;
  batch.token_ids = random_tokens(model.config.vocab_size, batch.num_tokens, 1);
  batch.page_table.resize(static_cast<std::size_t>(num_seqs) * static_cast<std::size_t>(batch.max_pages));
  QUIRE_CHECK_KIND(kExhausted,
                   static_cast<long>(batch.page_table.size()) < model.engine_config.kv_cache.num_pages,
                   "{} requests of {} tokens need {} pages, the cache has {}", num_seqs, kv_len,
                   batch.page_table.size(), model.engine_config.kv_cache.num_pages - 1);
  std::iota(batch.page_table.begin(), batch.page_table.end(), 1);
  std::shuffle(batch.page_table.begin(), batch.page_table.end(), std::mt19937(1));
  batch.query_indptr.push_back(0);
  for (int s = 0; s < num_seqs; ++s) {
    for (int position = kv_len - query_len; position < kv_len; ++position) {
      const auto page =
          batch.page_table[static_cast<std::size_t>(s * batch.max_pages + position / page_size)];
      batch.positions.push_back(position);
      batch.slot_mapping.push_back(std::int64_t{page} * page_size + position % page_size);
    }
    batch.query_indptr.push_back((s + 1) * query_len);
    batch.kv_len.push_back(kv_len);
    batch.logit_rows.push_back((s + 1) * query_len - 1);
  }
  batch.drawn_rows.assign(batch.token_ids.size(), -1);
  batch.wants_logits.assign(batch.logit_rows.size(), 0);
  batch.draws.assign(batch.logit_rows.size(), TokenDraw{});
  return batch;
}

}  // namespace quire
