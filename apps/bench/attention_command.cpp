#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "apps/bench/batch_spec.h"
#include "apps/bench/bench_command.h"
#include "apps/bench/number_pair.h"
#include "apps/console.h"
#include "attention/attention.h"
#include "base/check.h"

namespace quire {
namespace {

constexpr std::size_t kColdBytes =
    std::size_t{512} << 20;  // caches take turns over this much, as those of a model's layers do
constexpr std::size_t kMaxCopies = 64;
constexpr int kWriteTokens = 1024;  // tokens that are written to the cache at a time

struct AttentionFlags : BenchFlags {
  std::vector<std::string> specs = {"q512", "q2k", "8q1s1k", "32q1s2k", "2q2k_8q1s1k", "16q4s1k"};
  std::string heads = "32/8", head_dim = "128", dtype = "bf16", backend = "auto";
  int page_size = 16, window = 0;
  float soft_cap = 0;
  bool alibi = false, sinks = false, non_causal = false, batch_invariant = false, warm = false;
};

AttentionDesc desc_of(const AttentionFlags& flags) {
  const NumberPair heads = parse_number_pair("--heads", flags.heads),
                   dims = parse_number_pair("--head-dim", flags.head_dim);
  AttentionDesc desc;
  desc.num_qo_heads = heads.first;
  desc.num_kv_heads = heads.second;
  desc.head_dim_qk = dims.first;
  desc.head_dim_vo = dims.second;
  desc.page_size = flags.page_size;
  desc.dtype = dtype_of(flags.dtype);
  desc.sm_scale = default_sm_scale(desc.head_dim_qk);
  desc.causal = !flags.non_causal;
  desc.window = flags.window;
  desc.logits_soft_cap = flags.soft_cap;
  desc.position_bias = flags.alibi ? PositionBias::kAlibi : PositionBias::kNone;
  desc.has_sinks = flags.sinks;
  desc.batch_invariant = flags.batch_invariant;
  check_desc(desc);
  return desc;
}

template <class T>
std::unique_ptr<Buffer> upload(Device& device, const std::vector<T>& values) {
  auto buffer = device.allocate(values.size() * sizeof(T));
  device.copy_to_device(buffer->data(), values.data(), values.size() * sizeof(T));
  return buffer;
}

// The caches of several layers: pages in shuffled order, filled through the kernel that also fills them in an
// engine.
class Caches {
 public:
  Caches(Device& device, const AttentionDesc& desc, const BatchSpec& batch, bool is_warm) {
    for (const int kv_len : batch.kv_len) {
      max_pages_ = std::max(max_pages_, ceil_div(kv_len, desc.page_size));
      num_pages_ += ceil_div(kv_len, desc.page_size);
    }
    std::vector<int> pages(static_cast<std::size_t>(num_pages_));
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), std::mt19937(1));
    std::vector<std::int32_t> table;
    auto next = pages.begin();
    for (const int kv_len : batch.kv_len) {
      const int count = ceil_div(kv_len, desc.page_size);
      table.insert(table.end(), next, next + count);
      table.insert(table.end(), static_cast<std::size_t>(max_pages_ - count), 0);
      next += count;
    }
    page_table_ = upload(device, table);
    pool_bytes_ = static_cast<std::size_t>(kv_layout(device, desc).page_stride) * pages.size() *
                  dtype_bytes(desc.dtype);
    num_copies_ = is_warm ? 1 : std::clamp<std::size_t>(kColdBytes / pool_bytes_ + 1, 2, kMaxCopies);
    pools_ = device.allocate(pool_bytes_ * num_copies_);
    fill(device, desc);
  }

  void point_to(AttentionTensors& tensors, int run) const {
    tensors.kv_pool = pools_->data() + static_cast<std::size_t>(run) % num_copies_ * pool_bytes_;
    tensors.page_table = page_table_->as<std::int32_t>();
    tensors.max_pages = max_pages_;
  }

 private:
  void fill(Device& device, const AttentionDesc& desc) {
    const auto kv_heads = static_cast<std::size_t>(desc.num_kv_heads);
    const auto k = random_buffer(device, kWriteTokens * kv_heads * static_cast<std::size_t>(desc.head_dim_qk),
                                 desc.dtype);
    const auto v = random_buffer(device, kWriteTokens * kv_heads * static_cast<std::size_t>(desc.head_dim_vo),
                                 desc.dtype);
    const long num_slots = static_cast<long>(num_pages_) * desc.page_size;
    std::vector<std::int64_t> slots(kWriteTokens);
    const auto slot_mapping = device.allocate(slots.size() * sizeof(std::int64_t));
    for (std::size_t copy = 0; copy < num_copies_; ++copy) {
      for (long begin = 0; begin < num_slots; begin += kWriteTokens) {
        std::iota(slots.begin(), slots.end(), begin);
        device.copy_to_device(slot_mapping->data(), slots.data(), slots.size() * sizeof(std::int64_t));
        KvWriteTensors tensors;
        tensors.k = k->data();
        tensors.v = v->data();
        tensors.kv_pool = pools_->data() + copy * pool_bytes_;
        tensors.slot_mapping = slot_mapping->as<std::int64_t>();
        tensors.num_tokens = static_cast<int>(std::min<long>(kWriteTokens, num_slots - begin));
        write_kv(device, desc, tensors);
      }
    }
    device.synchronize();
  }

  int max_pages_ = 0, num_pages_ = 0;
  std::size_t pool_bytes_ = 0, num_copies_ = 0;
  std::unique_ptr<Buffer> page_table_, pools_;
};

BenchRow measure_attention(Device& device, CeilingMeter& meter, const AttentionDesc& desc,
                           const AttentionBackend& backend, const BatchSpec& batch,
                           const AttentionFlags& flags) {
  const auto num_tokens =
      static_cast<std::size_t>(std::accumulate(batch.query_len.begin(), batch.query_len.end(), 0L));
  const auto heads = static_cast<std::size_t>(desc.num_qo_heads);
  const auto q =
      random_buffer(device, num_tokens * heads * static_cast<std::size_t>(desc.head_dim_qk), desc.dtype);
  const auto o = device.allocate(num_tokens * heads * static_cast<std::size_t>(desc.head_dim_vo) *
                                 dtype_bytes(desc.dtype));
  std::vector<float> slopes(heads), sinks(heads, 0.5f);
  for (std::size_t h = 0; h < heads; ++h)
    slopes[h] = std::exp2(-8.0f * static_cast<float>(h + 1) / static_cast<float>(heads));
  const auto device_slopes = upload(device, slopes), device_sinks = upload(device, sinks);
  const Caches caches(device, desc, batch, flags.warm);

  AttentionTensors tensors;
  tensors.q = q->data();
  tensors.o = o->data();
  tensors.alibi_slopes = device_slopes->as<float>();
  tensors.sinks = device_sinks->as<float>();
  const AttentionLengths lengths{batch.query_len, batch.kv_len};
  const auto op = backend.make(device, desc);
  op->plan(lengths);
  BenchWork work;
  work.name = fmt::format("attention {}", batch.name);
  work.cost = attention_cost(desc, lengths);
  work.dtype = desc.dtype;
  work.only_launches = backend.name() == std::string("unified");
  work.run = [&](int run) {
    caches.point_to(tensors, run);
    op->run(tensors);
  };
  return measure(device, meter, work, flags.num_rounds);
}

int run_attention(const Program& program, const AttentionFlags& flags) {
  const AttentionDesc desc = desc_of(flags);
  std::vector<BatchSpec> batches;
  for (const std::string& spec : flags.specs) batches.push_back(parse_batch_spec(spec));
  const std::unique_ptr<Device> device = open_device(program, flags.device);
  const BackendChoice choice = choose_backend(flags.backend, desc, device->caps());
  for (const std::string& reason : choice.reasons) log("backend {}", reason);
  CeilingMeter meter(*device);
  BenchReport report(device->caps());
  for (const BatchSpec& batch : batches)
    report.add(measure_attention(*device, meter, desc, *choice.backend, batch, flags));
  report.finish(meter.best(), flags.json_path);
  return kExitOk;
}

void add_problem_flags(CLI::App& command, AttentionFlags& flags) {
  const auto group = [](CLI::Option* option) { return option->group("Problem")->capture_default_str(); };
  group(command.add_option("--heads", flags.heads, "Query heads / KV heads"))->type_name("Q/KV");
  group(command.add_option("--head-dim", flags.head_dim, "Head size, or size of q and k / size of v and o"))
      ->type_name("QK[/VO]");
  group(command.add_option("--dtype", flags.dtype, "Element type"))->check(CLI::IsMember(dtype_names()));
  group(command.add_option("--page-size", flags.page_size, "Tokens in a page"))->check(CLI::Range(1, 65536));
  group(command.add_option("--window", flags.window, "Keys that a query sees, itself included; 0 = all"))
      ->check(CLI::NonNegativeNumber);
  group(command.add_option("--soft-cap", flags.soft_cap, "cap * tanh(score / cap); 0 = off"))
      ->check(CLI::NonNegativeNumber);
  group(command.add_flag("--alibi", flags.alibi, "Linear position bias"));
  group(command.add_flag("--sinks", flags.sinks, "One more score per head, without a value"));
  group(command.add_flag("--non-causal", flags.non_causal, "Every query sees every key"));
  group(
      command.add_flag("--batch-invariant", flags.batch_invariant, "Bits that do not depend on batch mates"));
  group(command.add_option("--backend", flags.backend, "auto, or a name that quire info shows"));
}

}  // namespace

void add_bench_attention(CLI::App& bench, Program& program) {
  CLI::App& command = *bench.add_subcommand("attention", "Paged attention on batches of any mix");
  command.footer(R"(
A batch is segments joined by _, each [count]q<len>[k][s<len>[k]]: q new tokens of a sequence of s (default: q).
Pages are shuffled. Caches rotate over at least 512 MB, as those of a model's layers do; --warm keeps one.

Examples:
  quire bench attention 32q1s2k                        32 requests decode at a length of 2,048
  quire bench attention 2q2k_8q1s1k --page-size 128    two prefills mixed with eight decodes
  quire bench attention 16q4s1k --window 512 --sinks   verification of 4 tokens each, with features
  quire bench attention q64s2k --heads 1/1 --non-causal --threads 1 --page-size 128 --warm
                                                       one core on 64 queries x 2,048 keys)");
  const auto flags = std::make_shared<AttentionFlags>();
  command.add_option("SPEC", flags->specs, "Batches, e.g. 32q1s2k")->capture_default_str();
  add_problem_flags(command, *flags);
  command.add_flag("--warm", flags->warm, "One cache over and over, from the processor's caches if it fits");
  add_bench_flags(command, *flags);
  command.callback(
      [&program, flags] { program.action = [&program, flags] { return run_attention(program, *flags); }; });
}

}  // namespace quire
