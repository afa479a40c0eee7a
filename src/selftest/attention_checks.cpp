// Random attention problems over all features against the oracle.
#include <algorithm>
#include <cmath>

#include "selftest/paged_problem.h"
#include "selftest/shared_device.h"

namespace quire {
namespace {

// A device that claims to run many programs at a time, so that the planner splits short contexts too.
class ManyProgramsDevice : public SharedDevice {
 public:
  ManyProgramsDevice(Device& device, int num_programs)
      : SharedDevice(device), caps_(device.caps()), attention_(device.attention(), num_programs) {
    caps_.num_programs = num_programs;
  }
  const DeviceCaps& caps() const override { return caps_; }
  const AttentionTarget& attention() const override { return attention_; }

 private:
  class ManyPrograms : public AttentionTarget {
   public:
    ManyPrograms(const AttentionTarget& target, int num_programs)
        : target_(target), num_programs_(num_programs) {}
    KernelAbilities abilities() const override { return target_.abilities(); }
    BatchKindCaps caps(const AttentionClass& problem) const override {
      BatchKindCaps caps = target_.caps(problem);
      caps.num_programs = num_programs_;
      return caps;
    }
    bool rounds_probs(DType v) const override { return target_.rounds_probs(v); }

   private:
    const AttentionTarget& target_;
    const int num_programs_;
  };

  DeviceCaps caps_;
  const ManyPrograms attention_;
};

// One request's part of a batch: its oracle, its honest computation, and where its rows begin.
struct ComparedPart {
  const AttentionCase& c;
  int request, query_len;
  ReferenceResult oracle, honest;
  double most_value;  // largest |V|
  double dot_error;   // of the device, see DeviceCaps
};

double largest(const HostArray& array) {
  double most = 0;
  for (std::size_t i = 0; i < array.num_elems(); ++i) most = std::max(most, std::fabs(array[i]));
  return most;
}

// The greatest errors of the honest computation over one head's rows.
struct HonestErrors {
  double o = 0, lse = 0;
};
HonestErrors honest_errors(const ComparedPart& part, int head) {
  const AttentionDesc& d = part.c.desc;
  const auto dim = static_cast<std::size_t>(d.head_dim_vo);
  HonestErrors errors;
  for (int token = 0; token < part.query_len; ++token) {
    const auto row = static_cast<std::size_t>(token * d.num_qo_heads + head);
    for (std::size_t i = row * dim; i < (row + 1) * dim; ++i) {
      errors.o = std::max(errors.o, std::fabs(round_to(d.dtype, part.honest.o[i]) - part.oracle.o[i]));
    }
    if (std::isfinite(part.oracle.lse[row])) {
      errors.lse = std::max(errors.lse, std::fabs(part.honest.lse[row] - part.oracle.lse[row]));
    }
  }
  errors.o *= part.dot_error;
  errors.lse *= part.dot_error;
  return errors;
}

// One row (token, head); `row` counts from the part's first, `out_row` from the batch's first.
void compare_row(const ComparedPart& part, const HonestErrors& honest, std::size_t row, std::size_t out_row,
                 const AttentionOutput& output, Comparison& found) {
  const AttentionDesc& d = part.c.desc;
  const auto dim = static_cast<std::size_t>(d.head_dim_vo);
  const double lse = part.oracle.lse[row];
  // What scores may be off: one rounding of the larger of a score near the maximum and of what it is made of
  // (the sum q k, whose terms cancel, and the position bias), on the device's units; and the target's tanh
  // (2^-22) times the cap.
  const double parts = std::fabs(lse) + 4 * (1 + part.c.score_spread);
  const double score_error =
      std::isfinite(lse) ? part.dot_error * 0x1p-24 * parts + 0x1p-22 * d.logits_soft_cap : 0;
  double most = 0;
  for (std::size_t i = 0; i < dim; ++i) most = std::max(most, std::fabs(part.oracle.o[row * dim + i]));
  const double floor = rounding_unit(d.dtype) * most + 2 * score_error * part.most_value + 0x1p-25;
  const auto where = [&](const char* what, std::size_t i) {
    return fmt::format("{}; request {}, token {}, head {}, {} {}", describe(part.c), part.request,
                       row / d.num_qo_heads, row % d.num_qo_heads, what, i);
  };
  for (std::size_t i = 0; i < dim; ++i) {
    found.expect_near(output.o[out_row * dim + i], part.oracle.o[row * dim + i],
                      Comparison::kHonestErrors * honest.o + floor, [&] { return where("dim", i); });
  }
  if (output.lse.empty()) return;
  const double lse_floor = score_error + 0x1p-22 * (1 + (std::isfinite(lse) ? std::fabs(lse) : 0));
  found.expect_near(output.lse[out_row], lse, Comparison::kHonestErrors * honest.lse + lse_floor,
                    [&] { return where("LSE", 0); });
}

void check_attention(AttentionFocus focus, CheckCase& check, Comparison& found) {
  const AttentionCase c = make_attention_case(focus, check);
  AttentionData data = make_attention_data(c, check.random);
  const PagedProblem problem(check.device, c, std::move(data), check.random);
  ManyProgramsDevice many(check.device, focus == AttentionFocus::kSplits ? check.random.pick({2, 8, 64}) : 4);
  Device& device = focus == AttentionFocus::kSplits || check.random.chance(0.2) ? many : check.device;
  const auto op = choose_backend("unified", c.desc, device).backend->make(device, c.desc);
  const std::vector<PagedProblem::Part> parts = problem.all_parts();
  const AttentionOutput output = problem.run(*op, parts, found);
  problem.compare(output, parts, probs_dtype(check.device, check.dtype), found);
}

}  // namespace

void PagedProblem::compare(const AttentionOutput& output, std::span<const Part> parts, DType probs_dtype,
                           Comparison& found) const {
  const AttentionDesc& d = case_.desc;
  const std::vector<double> slopes(data_.slopes.begin(), data_.slopes.end());
  const std::vector<double> sinks(data_.sinks.begin(), data_.sinks.end());
  std::size_t first_row = 0;
  for (const Part& part : parts) {
    const RequestData& data = data_.requests[static_cast<std::size_t>(part.request)];
    ReferenceRequest r{part.token_end - part.token_begin, kv_len_of(part), {}, {}, {}};
    const auto index = [](int row, int num_heads, int head, int dim, int i) {
      return (static_cast<std::size_t>(row) * num_heads + head) * dim + i;
    };
    r.q = [&](int token, int head, int i) {
      return data.q[index(part.token_begin + token, d.num_qo_heads, head, d.head_dim_qk, i)];
    };
    r.k = [&](int key, int head, int i) {
      return data.k[index(key, d.num_kv_heads, head, d.head_dim_qk, i)];
    };
    r.v = [&](int key, int head, int i) {
      return data.v[index(key, d.num_kv_heads, head, d.head_dim_vo, i)];
    };
    const ComparedPart compared{case_,
                                part.request,
                                r.query_len,
                                reference_attention(d, r, slopes, sinks),
                                f32_attention(d, r, slopes, sinks, probs_dtype),
                                largest(data.v),
                                device_.caps().dot_error};
    for (int head = 0; head < d.num_qo_heads; ++head) {
      const HonestErrors honest = honest_errors(compared, head);
      for (int token = 0; token < r.query_len; ++token) {
        const auto row = static_cast<std::size_t>(token * d.num_qo_heads + head);
        compare_row(compared, honest, row, first_row + row, output, found);
      }
    }
    first_row += static_cast<std::size_t>(r.query_len * d.num_qo_heads);
  }
}

std::vector<Check> attention_checks() {
  struct Row {
    AttentionFocus focus;
    const char* feature;
    int num_cases;
  };
  const Row rows[] = {
      {AttentionFocus::kPageSizes, "page sizes 1 to 528", 84},
      {AttentionFocus::kHeadSizes, "head sizes 1 to 576", 144},
      {AttentionFocus::kGroupSizes, "query heads per KV head 1 to 71", 91},
      {AttentionFocus::kBatches, "mixed batches, padding", 60},
      {AttentionFocus::kNonCausal, "non-causal, empty rows", 90},
      {AttentionFocus::kWindow, "sliding window", 100},
      {AttentionFocus::kModSoftCap, "soft cap", 80},
      {AttentionFocus::kAlibi, "ALiBi", 80},
      {AttentionFocus::kAlibiSqrt, "ALiBi-sqrt", 80},
      {AttentionFocus::kSinks, "sinks", 90},
      {AttentionFocus::kSplits, "split keys", 30},
      {AttentionFocus::kBatchInvariant, "batch invariant", 24},
      {AttentionFocus::kEverything, "all features at random", 200},
  };
  std::vector<Check> checks;
  for (const Row& row : rows) {
    checks.push_back(
        {"attention", row.feature, row.num_cases, kAllDTypes,
         [focus = row.focus](CheckCase& c, Comparison& found) { check_attention(focus, c, found); }});
  }
  return checks;
}

}  // namespace quire
