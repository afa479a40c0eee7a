#include "apps/bench/model_under_test.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "apps/console.h"
#include "apps/model_flags.h"
#include "base/check.h"
#include "model/shapes.h"
#include "model/tensor_source.h"
#include "tile/ranges.h"

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
  add_step_time_flag(command, flags.options);
  command.add_flag("--batch-invariant", flags.options.batch_invariant,
                   "Bits that do not depend on batching or threads");
  add_backend_flag(command, flags.options);
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

namespace {

// The pages of one group, those from `first_page` on in another order; what lies left of a window has none.
GroupBatch make_group(const StepBatch& batch, const CacheGroup& kind, int page_tokens, int first_page) {
  GroupBatch group;
  group.max_pages = ceil_div(batch.max_kv_len, page_tokens);
  const int first_position = batch.positions.front();
  const int num_null = kind.window > 0 ? kind.first_key(first_position) / page_tokens : 0;
  std::vector<std::int32_t> pages(static_cast<std::size_t>(batch.num_seqs * (group.max_pages - num_null)));
  std::iota(pages.begin(), pages.end(), first_page);
  std::shuffle(pages.begin(), pages.end(), std::mt19937(1));
  for (auto page = pages.begin(); page != pages.end(); page += group.max_pages - num_null) {
    group.page_table.insert(group.page_table.end(), static_cast<std::size_t>(num_null), kNullPage);
    group.page_table.insert(group.page_table.end(), page, page + group.max_pages - num_null);
  }
  for (int i = 0; i < batch.num_tokens; ++i) {
    const int s = i / batch.max_query_len, position = batch.positions[static_cast<std::size_t>(i)];
    const auto page =
        group.page_table[static_cast<std::size_t>(s * group.max_pages + position / page_tokens)];
    group.slot_mapping.push_back(std::int64_t{page} * page_tokens + position % page_tokens);
  }
  return group;
}

}  // namespace

StepBatch make_step(const LoadedEngine& model, int num_seqs, int query_len, int kv_len) {
  const KvCacheConfig& cache = model.engine_config.kv_cache;
  StepBatch batch;
  batch.num_seqs = num_seqs;
  batch.num_tokens = num_seqs * query_len;
  batch.max_query_len = query_len;
  batch.max_kv_len = kv_len;
  batch.token_ids = random_tokens(model.config.vocab_size, batch.num_tokens, 1);
  batch.query_indptr.push_back(0);
  for (int s = 0; s < num_seqs; ++s) {
    for (int position = kv_len - query_len; position < kv_len; ++position)
      batch.positions.push_back(position);
    batch.query_indptr.push_back((s + 1) * query_len);
    batch.kv_len.push_back(kv_len);
    batch.logit_rows.push_back((s + 1) * query_len - 1);
  }
  int num_pages = 1;  // the null page
  for (std::size_t g = 0; g < cache.groups.size(); ++g) {
    batch.groups.push_back(make_group(batch, cache.groups[g], cache.page_tokens(g), num_pages));
    const std::vector<std::int32_t>& table = batch.groups.back().page_table;
    num_pages = std::max(num_pages, 1 + *std::max_element(table.begin(), table.end()));
  }
  QUIRE_CHECK_KIND(kExhausted, num_pages <= cache.num_pages,
                   "{} requests of {} tokens need {} pages, the cache has {}", num_seqs, kv_len,
                   num_pages - 1, cache.num_pages - 1);
  batch.drawn_rows.assign(batch.token_ids.size(), -1);
  batch.wants_logits.assign(batch.logit_rows.size(), model.runner->draws_tokens() ? 0 : 1);
  batch.draws.assign(batch.logit_rows.size(), TokenDraw{});
  return batch;
}

}  // namespace quire
