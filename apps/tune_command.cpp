// quire tune: measure the legal configurations of attention on this machine and keep the best.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "apps/bench/bench_command.h"
#include "apps/bench/number_pair.h"
#include "apps/console.h"
#include "apps/device_flags.h"
#include "apps/number_checks.h"
#include "apps/tune_report.h"
#include "base/check.h"

namespace quire {
namespace {

constexpr int kMaxLenOfGpu = 1 << 15, kMaxLenOfCpu = 1 << 10;

struct TuneFlags {
  DeviceFlags device;
  std::vector<std::string> dtypes = {"bf16"};
  std::vector<int> head_dims = {128};
  std::vector<std::string> skipped;
  std::string heads = "32/8", write_path, json_path, plot_path;
  int page_size = 16, max_len = 0;
  double budget_s = 180;
};

std::vector<AttentionDesc> descs_of(const TuneFlags& flags) {
  const NumberPair heads = parse_number_pair("--heads", flags.heads);
  std::vector<AttentionDesc> descs;
  for (const std::string& dtype : flags.dtypes) {
    for (const int head_dim : flags.head_dims) {
      AttentionDesc desc;
      desc.num_qo_heads = heads.first;
      desc.num_kv_heads = heads.second;
      desc.head_dim_qk = desc.head_dim_vo = head_dim;
      desc.page_size = flags.page_size;
      desc.dtype = dtype_of(dtype);
      desc.sm_scale = default_sm_scale(head_dim);
      check_desc(desc);
      descs.push_back(desc);
    }
  }
  return descs;
}

// The file's table without the classes that are tuned now. A file that cannot be read is replaced: it serves nobody.
TunedTable table_before(const std::filesystem::path& path, const Chip& chip) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {chip, {}};
  try {
    TunedTable table = read_tuned_table(path);
    if (table.chip == chip) return table;
    log("{} is for {}: it is replaced", path.string(), to_string(table.chip));
  } catch (const Error& e) {
    log("{} is replaced: {}", path.string(), e.what());
  }
  return {chip, {}};
}

void keep(const std::filesystem::path& path, const Chip& chip, const std::vector<TuneReport>& reports) {
  TunedTable table = table_before(path, chip);
  for (const TuneReport& report : reports) {
    std::erase_if(table.entries, [&](const TunedEntry& e) { return e.problem == report.problem; });
    table.entries.push_back({report.problem, report.config(), std::round(report.speedup * 1000) / 1000});
  }
  write_tuned_table(path, table);
  print_now(fmt::format("kept in {}\n", path.string()));
}

std::vector<TuneReport> tune_all(const TuneFlags& flags, Device& device, TunableAttention& tunable, const std::vector<AttentionDesc>& descs) {
  const double start_s = now_s();
  double class_start_s = start_s, class_end_s = start_s;
  int num_done = 0;
  const int num_classes = static_cast<int>(descs.size()) * kNumBatchKinds;
  Progress progress("tune");
  std::vector<TuneReport> reports;
  for (const AttentionDesc& desc : descs) {
    TuneOptions options;
    options.desc = desc;
    options.skipped = flags.skipped;
    options.max_len = flags.max_len > 0 ? flags.max_len : device.caps().runs_async ? kMaxLenOfGpu : kMaxLenOfCpu;
    options.spent = [&] {
      progress.update((now_s() - start_s) / flags.budget_s);
      return (now_s() - class_start_s) / std::max(1e-9, class_end_s - class_start_s);
    };
    options.report = [&](const std::string& note) {
      progress.update((now_s() - start_s) / flags.budget_s, note);
      if (!is_terminal(2)) log("{:5.1f} s  {}", now_s() - start_s, note);
    };
    AttentionTuner tuner(device, tunable, options);
    for (const BatchKind kind : kBatchKinds) {
      class_start_s = now_s();
      class_end_s = class_start_s + (start_s + flags.budget_s - class_start_s) / (num_classes - num_done++);
      reports.push_back(tuner.tune(kind));
    }
  }
  return reports;
}

int tune(const Program& program, const TuneFlags& flags) {
  const std::vector<AttentionDesc> descs = descs_of(flags);
  QUIRE_CHECK(!flags.write_path.empty() || !flags.device.options.cache_dir.empty(),
              "no folder to keep the result in: neither HOME nor XDG_CACHE_HOME is set; name one with --kernel-cache, or a file with --write");
  const auto device = open_device(program, flags.device);
  TunableAttention* tunable = device->attention().tunable();
  QUIRE_CHECK_KIND(kUnsupported, tunable != nullptr, "nothing of target {} can be tuned", device->caps().target);
  const std::vector<TuneReport> reports = tune_all(flags, *device, *tunable, descs);
  print_now(fmt::format("{}\n{}", to_string(tunable->chip()), tune_table(reports)));
  if (!flags.json_path.empty()) write_tune_json(flags.json_path, tunable->chip(), reports);
  if (!flags.plot_path.empty()) write_tune_plot(flags.plot_path, tunable->chip(), reports);
  keep(flags.write_path.empty() ? tuned_table_path(flags.device.options.cache_dir, tunable->chip()) : std::filesystem::path(flags.write_path),
       tunable->chip(), reports);
  return kExitOk;
}

void add_tune_flags(CLI::App& command, TuneFlags& flags) {
  const auto problem = [](CLI::Option* option) { return option->group("Problem")->capture_default_str(); };
  problem(command.add_option("--dtype", flags.dtypes, "Element types, joined by commas"))
      ->delimiter(',')
      ->check(CLI::IsMember(dtype_names()))
      ->type_name("DTYPE");
  problem(command.add_option("--head-dim", flags.head_dims, "Head sizes, joined by commas; one serves all up to 64, 128, 192 or 256"))
      ->delimiter(',')
      ->type_name("N");
  problem(command.add_option("--heads", flags.heads, "Query heads / KV heads of the batches"))->type_name("Q/KV");
  problem(command.add_option("--page-size", flags.page_size, "Tokens in a page"))->check(CLI::Range(1, 65536));
  command.add_option("--max-len", flags.max_len, "Longest request of the batches, tokens (default: 32768, on a CPU 1024)")
      ->check(CLI::Range(1, 1 << 20))
      ->type_name("N");
  command.add_option("--budget", flags.budget_s, "Seconds for everything, compilation included")
      ->check(above_zero(86400))
      ->capture_default_str()
      ->type_name("S");
  command.add_option("--skip", flags.skipped, "Leave out tiles with this in their description; may be given several times")
      ->allow_extra_args(false)
      ->type_name("TEXT");
  command.add_option("--write", flags.write_path, "Keep the result in this file instead, e.g. to ship it")->type_name("FILE");
  command.add_option("--json", flags.json_path, "Also write all candidates and their times to this file")->type_name("FILE");
  command.add_option("--plot", flags.plot_path, "Also plot them")->type_name("FILE.svg");
}

}  // namespace

void add_tune_command(CLI::App& app, Program& program) {
  CLI::App& command = *app.add_subcommand("tune", "Measure the configurations of attention here and keep the best");
  command.footer(R"(
Which tiles a kernel is compiled with and how batches are cut is chosen by heuristics that know only the kind of chip. This
command compiles and measures what else is legal, on representative batches of decode, prefill and both mixed: all take
turns, the slower half is dropped after each round, and the heuristics stay to the end. What beats them by 1 % or more, and
computes the same, is kept beside the compiled kernels and used from the next start on. Only for exactly this chip; quire
info says what is in use. Nothing else should run meanwhile.

Examples:
  quire tune --device cuda
  quire tune --device cuda --dtype bf16,f16 --head-dim 64,128 --budget 600 --plot candidates.svg
  quire tune --budget 30 --threads 4               the CPU, as it is with 4 threads
  quire tune --device cuda --write h200.json       a table to ship
  quire tune --device cuda --skip "8 warps,"       should a candidate hang or fail: errors say which)");
  const auto flags = std::make_shared<TuneFlags>();
  add_tune_flags(command, *flags);
  add_device_flags(command, flags->device);
  command.callback([&program, flags] { program.action = [&program, flags] { return tune(program, *flags); }; });
}

}  // namespace quire
