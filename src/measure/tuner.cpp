#include "measure/tuner.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <set>
#include <utility>

#include "attention/backends.h"
#include "attention/planner.h"
#include "base/check.h"
#include "base/stable_sort.h"
#include "measure/attention_workload.h"

namespace quire {
namespace {

constexpr double kShareOfTiles = 0.7;                     // of the time; the rest is for policies
constexpr double kSampleUs = 2000, kHostSampleUs = 8000;  // length of one measurement
constexpr int kMaxRuns = 200;                             // of one measurement
constexpr std::size_t kMaxPolicies = 32;
constexpr double kOutputEps = 8;  // roundings of the largest output by which two right outputs may differ

struct Segment {
  int count, query_len, kv_len;
};
using Batch = std::vector<Segment>;
const std::vector<Batch>& batches_of(BatchKind kind) {
  static const std::vector<Batch> kDecodes = {{{1, 1, 512}},   {{1, 1, 8192}},  {{8, 1, 2048}},
                                              {{8, 1, 32768}}, {{32, 1, 2048}}, {{128, 1, 1024}},
                                              {{16, 4, 1024}}};
  static const std::vector<Batch> kPrefills = {{{1, 512, 512}},   {{1, 2048, 2048}}, {{1, 8192, 8192}},
                                               {{8, 1024, 1024}}, {{8, 512, 4608}},  {{1, 2048, 32768}}};
  static const std::vector<Batch> kMixed = {{{2, 2048, 2048}, {8, 1, 1024}},
                                            {{1, 512, 512}, {32, 1, 2048}},
                                            {{64, 1, 4096}, {1, 2048, 2048}},
                                            {{1, 512, 8704}, {8, 1, 8192}}};
  return kind == BatchKind::kDecode ? kDecodes : kind == BatchKind::kPrefill ? kPrefills : kMixed;
}

std::string len_text(int len) {
  return len % 1024 == 0 ? fmt::format("{}k", len / 1024) : std::to_string(len);
}

// Everything that a schedule says: plans of two policies may be the same.
std::string fingerprint(const AttentionSchedule& schedule) {
  return std::string(reinterpret_cast<const char*>(schedule.image.data()), schedule.image.size()) +
         fmt::format("|{}|{}", schedule.num_partial_rows, schedule.num_counters);
}

double to_double(const std::byte* p, DType dtype, std::size_t i) {
  if (dtype == DType::kF32) {
    float value;
    std::memcpy(&value, p + 4 * i, 4);
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, p + 2 * i, 2);
  return dtype == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

// Empty, or where two outputs differ by more than rounding.
std::string difference(const std::vector<std::byte>& right, const std::vector<std::byte>& found,
                       DType dtype) {
  const std::size_t num_elems = right.size() / dtype_bytes(dtype);
  double largest = 0;
  for (std::size_t i = 0; i < num_elems; ++i)
    largest = std::max(largest, std::fabs(to_double(right.data(), dtype, i)));
  const double eps = dtype == DType::kF32   ? 0x1p-18
                     : dtype == DType::kF16 ? 0x1p-11
                                            : 0x1p-8,
               most = kOutputEps * eps * largest;
  for (std::size_t i = 0; i < num_elems; ++i) {
    const double a = to_double(right.data(), dtype, i), b = to_double(found.data(), dtype, i);
    if (!(std::fabs(a - b) <= most))
      return fmt::format("wrong output: element {} is {:.6g} instead of {:.6g} (allowed: {:.2g})", i, b, a,
                         most);
  }
  return {};
}

// Blocks of rows are as large as prefill and mixed batches both take them.
void use(TunableAttention& tunable, const AttentionClass& problem, const AttentionTuning& config) {
  tunable.use_config(problem, config);
  if (problem.kind != BatchKind::kPrefill) return;
  const AttentionClass mixed{problem.dtype, problem.head_dim, BatchKind::kMixed};
  tunable.use_config(mixed, {config.tiles, tunable.heuristics(mixed).split_policy});
}

// The batches of one class in the device's memory, and the graphs of all that is measured on them.
class Bench {
 public:
  Bench(Device& device, TunableAttention& tunable, const AttentionDesc& desc, std::vector<BatchSpec> batches)
      : device_(device), tunable_(tunable), desc_(desc), batches_(std::move(batches)) {
    std::size_t num_bytes = 0;
    for (const BatchSpec& b : batches_)
      num_bytes = std::max(num_bytes, cold_bytes_of(device_, desc_, lengths_of(b)));
    memory_ = std::make_unique<PageMemory>(device_, desc_, num_bytes);
    for (const BatchSpec& b : batches_)
      workloads_.push_back(std::make_unique<AttentionWorkload>(device_, desc_, lengths_of(b), *memory_));
    num_runs_.resize(batches_.size(), 1);
  }

  int num_batches() const { return static_cast<int>(batches_.size()); }

  // How often a batch runs in one measurement follows from the configuration that is in use now.
  void choose_runs() {
    for (std::size_t b = 0; b < batches_.size(); ++b) {
      const auto op = planned(b);
      const auto run_once = [&] { op->run(workloads_[b]->tensors(0)); };
      device_.time_us(run_once);  // warms up what can be warm
      const double us = std::max(0.5, device_.time_us(run_once));
      num_runs_[b] = std::clamp(
          static_cast<int>((device_.caps().runs_async ? kSampleUs : kHostSampleUs) / us), 1, kMaxRuns);
    }
  }

  // Time of one run of a batch. Records it when it is first measured. An error says whose it is: it may end
  // the device.
  double sample_us(const AttentionClass& problem, const AttentionTuning& config, std::size_t batch) {
    try {
      return try_sample_us(problem, config, batch);
    } catch (const Error& e) {
      throw_error(e.kind(), "{}, batch {}, with {} and {}: {}", to_string(problem), batches_[batch].name,
                  to_string(config.tiles), to_string(config.split_policy), e.what());
    }
  }

  // Forgets graphs: they take memory.
  void forget_all() { recorded_.clear(); }

  // What the configuration in use computes. Memory that it leaves as it was holds NaN.
  std::vector<std::byte> output(std::size_t batch) {
    const Buffer& o = workloads_[batch]->output();
    std::vector<std::byte> bytes(o.bytes(), std::byte{0xff});
    device_.copy_to_device(o.data(), bytes.data(), bytes.size());
    const auto op = planned(batch);  // its memory is in use until the copy is done
    op->run(workloads_[batch]->tensors(0));
    device_.copy_to_host(bytes.data(), o.data(), bytes.size());
    return bytes;
  }

  // All plans of the configuration in use.
  std::string plans() const {
    std::string text;
    for (const BatchSpec& b : batches_) {
      AttentionSchedule schedule;
      make_schedule(desc_, CapsByKind(device_.attention(), desc_), lengths_of(b), schedule);
      text += fingerprint(schedule) + "\n";
    }
    return text;
  }

  // What starts the kernels of the configuration in use.
  void launch_all() {
    for (std::size_t b = 0; b < batches_.size(); ++b) planned(b)->run(workloads_[b]->tensors(0));
  }

  static AttentionLengths lengths_of(const BatchSpec& batch) { return {batch.query_len, batch.kv_len}; }

 private:
  struct Recorded {
    AttentionTuning config;
    std::size_t batch = 0;
    std::unique_ptr<AttentionOp> op;
    std::unique_ptr<Graph> graph;
  };

  double try_sample_us(const AttentionClass& problem, const AttentionTuning& config, std::size_t batch) {
    Recorded& recorded = recorded_of(config, batch);
    if (recorded.graph == nullptr) {
      use(tunable_, problem, config);
      recorded.op = planned(batch);
      recorded.graph = device_.capture([&] {
        for (int i = 0; i < num_runs_[batch]; ++i) recorded.op->run(workloads_[batch]->tensors(next_run_++));
      });
      device_.time_us([&] { recorded.graph->launch(); });
    }
    return device_.time_us([&] { recorded.graph->launch(); }) / num_runs_[batch];
  }

  std::unique_ptr<AttentionOp> planned(std::size_t batch) {
    auto op = choose_backend("unified", desc_, device_).backend->make(device_, desc_);
    op->plan(lengths_of(batches_[batch]));
    return op;
  }

  Recorded& recorded_of(const AttentionTuning& config, std::size_t batch) {
    for (const auto& r : recorded_) {
      if (r->batch == batch && r->config == config) return *r;
    }
    recorded_.push_back(std::make_unique<Recorded>(Recorded{config, batch, nullptr, nullptr}));
    return *recorded_.back();
  }

  Device& device_;
  TunableAttention& tunable_;
  const AttentionDesc desc_;
  const std::vector<BatchSpec> batches_;
  std::unique_ptr<PageMemory> memory_;
  std::vector<std::unique_ptr<AttentionWorkload>> workloads_;
  std::vector<int> num_runs_;
  int next_run_ = 0;
  std::vector<std::unique_ptr<Recorded>> recorded_;
};

// One class: what was tried so far, and what comes next.
class Session {
 public:
  Session(TunableAttention& tunable, Bench& bench, const TuneOptions& options, TuneReport& report)
      : tunable_(tunable), bench_(bench), options_(options), report_(report) {}

  // Numbers of candidates that may win, best first; the heuristics are first of those given and end the
  // ranking. Empty if time was over before anything was known.
  std::vector<int> search(const std::vector<int>& numbers, double until, const std::string& what) {
    SearchOptions search;
    search.num_candidates = static_cast<int>(numbers.size());
    search.num_batches = bench_.num_batches();
    search.sample_us = [&](int i, int batch) {
      return bench_.sample_us(report_.problem, candidate(numbers[static_cast<std::size_t>(i)]).config,
                              static_cast<std::size_t>(batch));
    };
    search.is_over = [&] { return options_.spent() >= until; };
    search.report = [&](int round, int num_left) {
      options_.report(fmt::format("{}, round {}: {} {}", to_string(report_.problem), round, num_left, what));
    };
    const SearchResult result = search_candidates(search);
    for (std::size_t i = 0; i < numbers.size(); ++i) take_times(candidate(numbers[i]), result.candidates[i]);
    bench_.forget_all();
    std::vector<int> ranking;
    if (result.candidates[0].num_rounds == 0) return ranking;
    for (const int i : result.ranking) ranking.push_back(numbers[static_cast<std::size_t>(i)]);
    return ranking;
  }

  // Numbers of the candidates of other tiles, the heuristics first.
  std::vector<int> add_tiles(std::vector<AttentionTiles> tiles) {
    const AttentionTuning first = report_.candidates[0].config;
    const auto is_skipped = [&](const AttentionTiles& t) {
      return std::any_of(options_.skipped.begin(), options_.skipped.end(), [&](const std::string& words) {
        return to_string(t).find(words) != std::string::npos;
      });
    };
    std::erase_if(tiles, [&](const AttentionTiles& t) {
      return is_skipped(t) || t == first.tiles ||
             (report_.problem.kind == BatchKind::kMixed && t.num_warps != first.tiles.num_warps);
    });
    std::vector<int> numbers = {0};
    if (tiles.empty()) return numbers;
    tiles.insert(tiles.begin(), first.tiles);
    options_.report(fmt::format("{}: compiling {} kernels", to_string(report_.problem), tiles.size()));
    const std::vector<std::string> reasons =
        tunable_.prepare_tiles(report_.problem, tiles, [&] { bench_.launch_all(); });
    for (std::size_t i = 1; i < tiles.size(); ++i) {
      report_.candidates.push_back(
          {{tiles[i], first.split_policy}, {}, 0, reasons[i].empty() ? "no time for it" : reasons[i]});
      if (reasons[i].empty()) numbers.push_back(static_cast<int>(report_.candidates.size()) - 1);
    }
    return numbers;
  }

  // Of other policies for the tiles of candidate `best`: the heuristics, the best, and those that plan
  // something new.
  std::vector<int> add_policies(int best) {
    std::vector<int> numbers = {0};
    if (best != 0) numbers.push_back(best);
    const AttentionTuning from = candidate(best).config;
    std::set<std::string> known;
    for (const SplitPolicy& policy : policies_around(from.split_policy)) {
      const AttentionTuning config{from.tiles, policy};
      use(tunable_, report_.problem, config);
      if (!known.insert(bench_.plans()).second || policy == from.split_policy ||
          numbers.size() >= kMaxPolicies)
        continue;
      report_.candidates.push_back({config, {}, 0, "no time for it"});
      numbers.push_back(static_cast<int>(report_.candidates.size()) - 1);
    }
    return numbers;
  }

  // The first of the ranking that computes what the heuristics compute; the heuristics end the ranking.
  int first_right(const std::vector<int>& ranking) {
    std::vector<std::vector<std::byte>> right;
    for (const int number : ranking) {
      if (number == 0) return 0;
      for (std::size_t b = 0; right.size() < static_cast<std::size_t>(bench_.num_batches()); ++b) {
        use(tunable_, report_.problem, candidate(0).config);
        right.push_back(bench_.output(b));
      }
      use(tunable_, report_.problem, candidate(number).config);
      std::string wrong;
      for (std::size_t b = 0; b < right.size() && wrong.empty(); ++b)
        wrong = difference(right[b], bench_.output(b), report_.problem.dtype);
      if (wrong.empty()) return number;
      candidate(number).fate = wrong;
    }
    return 0;
  }

 private:
  TunedCandidate& candidate(int number) { return report_.candidates[static_cast<std::size_t>(number)]; }

  static void take_times(TunedCandidate& c, const SearchedCandidate& found) {
    if (found.num_rounds == 0) return;
    c.time_us = found.time_us;
    c.score = found.score;
    c.fate = fmt::format("measured in {} round{}", found.num_rounds, found.num_rounds == 1 ? "" : "s");
  }

  TunableAttention& tunable_;
  Bench& bench_;
  const TuneOptions& options_;
  TuneReport& report_;
};

}  // namespace

std::vector<BatchSpec> tuning_batches(BatchKind kind, int max_len) {
  QUIRE_CHECK(max_len >= 1, "batches of requests of at most {} tokens", max_len);
  std::vector<BatchSpec> batches;
  for (const Batch& batch : batches_of(kind)) {
    std::string name;
    for (const Segment& s : batch) {
      const int kv_len = std::min(s.kv_len, max_len), query_len = std::min(s.query_len, kv_len);
      const std::string count = s.count == 1 ? "" : std::to_string(s.count),
                        rest = query_len == kv_len ? "" : "s" + len_text(kv_len);
      name += (name.empty() ? "" : "_") + count + "q" + len_text(query_len) + rest;
    }
    const auto is_same = [&](const BatchSpec& b) { return b.name == name; };
    if (std::none_of(batches.begin(), batches.end(), is_same)) batches.push_back(parse_batch_spec(name));
  }
  return batches;
}

std::vector<SplitPolicy> policies_around(const SplitPolicy& base) {
  const auto values = [](int first, std::initializer_list<int> others) {
    std::vector<int> found = {first};
    for (const int v : others) {
      if (v >= 0 && std::find(found.begin(), found.end(), v) == found.end()) found.push_back(v);
    }
    return found;
  };
  const int key = base.key_cost_rows, item = base.item_cost_tiles, merge = base.merge_cost_tiles;
  std::vector<SplitPolicy> policies;
  for (const int a : values(base.min_split_tiles, {1, 2, 4})) {
    for (const int b : values(key, {key / 4, key / 2, 2 * key})) {
      for (const int c : values(item, {0, 1, item - 1, item + 1, item + 2, 2 * item + 2})) {
        for (const int d : values(merge, {0, 1, merge - 1, merge + 1, merge + 3, 2 * merge + 4}))
          policies.push_back({a, b, c, d});
      }
    }
  }
  const auto num_changes = [&](const SplitPolicy& p) {
    return (p.min_split_tiles != base.min_split_tiles) + (p.key_cost_rows != key) +
           (p.item_cost_tiles != item) + (p.merge_cost_tiles != merge);
  };
  sort_stably(policies, [&](const auto& a, const auto& b) { return num_changes(a) < num_changes(b); });
  return policies;
}

AttentionTuner::AttentionTuner(Device& device, TunableAttention& tunable, TuneOptions options)
    : device_(device), tunable_(tunable), options_(std::move(options)) {
  check_desc(options_.desc);
}

AttentionTuning AttentionTuner::start_of(const AttentionClass& problem) const {
  AttentionTuning config = tunable_.heuristics(problem);
  const bool follows = problem.kind == BatchKind::kMixed && prefill_tiles_.num_warps != 0;
  if (follows && config.tiles.num_warps != prefill_tiles_.num_warps) config.tiles = prefill_tiles_;
  return config;
}

TuneReport AttentionTuner::tune(BatchKind kind) {
  const AttentionDesc& desc = options_.desc;
  TuneReport report;
  report.problem = {desc.dtype, head_dim_bound(std::max(desc.head_dim_qk, desc.head_dim_vo)), kind};
  report.candidates.push_back({start_of(report.problem), {}, 1, "heuristics"});
  use(tunable_, report.problem, report.candidates[0].config);
  std::vector<BatchSpec> batches;
  for (const BatchSpec& b : tuning_batches(kind, options_.max_len)) {
    AttentionSchedule schedule;
    make_schedule(desc, CapsByKind(device_.attention(), desc), Bench::lengths_of(b), schedule);
    if (schedule.kind != kind) continue;  // with these heads, or cut so short
    report.batches.push_back(b.name);
    batches.push_back(b);
  }
  QUIRE_CHECK(!batches.empty(), "no batch of {} is left with {}/{} heads and requests of at most {} tokens",
              to_string(kind), desc.num_qo_heads, desc.num_kv_heads, options_.max_len);

  Bench bench(device_, tunable_, desc, std::move(batches));
  Session session(tunable_, bench, options_, report);
  const std::vector<int> tiles = session.add_tiles(tunable_.legal_tiles(report.problem));
  use(tunable_, report.problem, report.candidates[0].config);
  bench.choose_runs();
  const std::vector<int> by_tiles = session.search(tiles, kShareOfTiles, "kernels");
  const int best = session.first_right(by_tiles);
  const std::vector<int> policies = session.add_policies(best);
  std::vector<int> ranking;
  if (policies.size() > (best == 0 ? 1u : 2u)) ranking = session.search(policies, 1, "policies");
  if (ranking.empty()) ranking = {best};
  report.winner = session.first_right(ranking);
  report.speedup = 1 / report.candidates[static_cast<std::size_t>(report.winner)].score;
  for (TunedCandidate& c : report.candidates) {
    if (&c == &report.candidates[static_cast<std::size_t>(report.winner)]) c.fate = "won, " + c.fate;
  }
  use(tunable_, report.problem, report.config());
  if (kind == BatchKind::kPrefill) prefill_tiles_ = report.config().tiles;
  return report;
}

}  // namespace quire
