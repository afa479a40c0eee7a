#include <algorithm>

#include "apps/bench/bench_command.h"
#include "apps/bench/number_pair.h"
#include "apps/console.h"
#include "apps/number_checks.h"
#include "measure/attention_workload.h"
#include "measure/batch_spec.h"
#include "base/check.h"

namespace quire {
namespace {

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

BenchRow measure_attention(Device& device, CeilingMeter& meter, const AttentionDesc& desc,
                           const AttentionBackend& backend, const BatchSpec& batch,
                           const AttentionFlags& flags) {
  const AttentionLengths lengths{batch.query_len, batch.kv_len};
  const PageMemory memory(device, desc, flags.warm ? pool_bytes_of(device, desc, lengths) : cold_bytes_of(device, desc, lengths));
  const AttentionWorkload workload(device, desc, lengths, memory);
  const auto op = backend.make(device, desc);
  op->plan(lengths);
  BenchWork work;
  work.name = fmt::format("attention {}", batch.name);
  work.cost = attention_cost(desc, lengths);
  work.dtype = desc.dtype;
  work.only_launches = backend.name() == std::string("unified");
  work.run = [&](int run) { op->run(workload.tensors(run)); };
  return measure(device, meter, work, flags.num_rounds);
}

int run_attention(const Program& program, const AttentionFlags& flags) {
  const AttentionDesc desc = desc_of(flags);
  std::vector<BatchSpec> batches;
  for (const std::string& spec : flags.specs) batches.push_back(parse_batch_spec(spec));
  const std::unique_ptr<Device> device = open_device(program, flags.device);
  const BackendChoice choice = choose_backend(flags.backend, desc, *device);
  for (const std::string& reason : choice.reasons) log("backend {}", reason);
  const int head_dim = head_dim_bound(std::max(desc.head_dim_qk, desc.head_dim_vo));
  for (const BatchKind kind : kBatchKinds) {
    log("{} from: {}", to_string(kind), device->attention().caps({desc.dtype, head_dim, kind}).source);
  }
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
      ->check(not_negative());
  group(command.add_option("--soft-cap", flags.soft_cap, "cap * tanh(score / cap); 0 = off"))
      ->check(not_negative(1e6));
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
