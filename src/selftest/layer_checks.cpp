// The row-wise kernels of a decoder layer and the embedding.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/params.h"
#include "selftest/arrays.h"
#include "selftest/check.h"

namespace quire {
namespace {

// A dimension: usual ones, and any.
int random_dim(Random& random) {
  return random.chance(0.4) ? random.pick({1, 8, 64, 896, 2048, 4096}) : random.between(1, 700);
}

// Elements between two rows.
std::size_t random_gap(Random& random) { return static_cast<std::size_t>(random.between(0, 20)); }

// Compares a kernel's elements with the oracle's by relative error, under one honest error for the whole
// tensor (of which elements near zero may not make more than four roundings).
void compare(const HostArray& got, const std::vector<double>& oracle, const std::vector<float>& honest,
             const std::string& what, Comparison& found) {
  const double unit = rounding_unit(got.dtype());
  double honest_error = 0;
  for (std::size_t i = 0; i < oracle.size(); ++i) {
    const double error = std::fabs(round_to(got.dtype(), honest[i]) - oracle[i]);
    honest_error = std::max(honest_error, error / std::max(1e-30, std::fabs(oracle[i])));
  }
  const double relative = Comparison::kHonestErrors * std::min(honest_error, 4 * unit) + unit + 4 * 0x1p-24;
  for (std::size_t i = 0; i < oracle.size(); ++i) {
    found.expect_near(got[i], oracle[i], relative * std::fabs(oracle[i]) + 3 * 0x1p-25,
                      [&] { return fmt::format("{}, element {}", what, i); });
  }
}

struct NormCase {
  int num_tokens, group, dim;  // rows of `dim` elements, `group` of them together in a token
  bool has_residual, in_place;
  float eps;
  HostArray x, residual, weight;  // without gaps

  std::size_t token_cols() const { return num_elems(group, dim); }
};

std::string describe(const NormCase& c) {
  return fmt::format("{} x {} rows of {}{}{}", c.num_tokens, c.group, c.dim,
                     c.has_residual ? " with residual" : "", c.in_place ? ", in place" : "");
}

NormCase make_norm_case(bool has_residual, DType dtype, Random& random) {
  NormCase c{};
  c.num_tokens = random.between(1, 20);
  c.group = random.chance(0.6) ? 1 : random.between(1, 6);
  c.dim = random_dim(random);
  c.has_residual = has_residual;
  c.in_place = random.chance(0.3);
  c.eps = random.pick({1e-5f, 1e-6f});
  const double amplitude = random.pick({1e-3, 1.0, 1.0, 100.0});
  c.x = random_array(random, dtype, num_elems(c.num_tokens, c.group * c.dim), amplitude);
  c.residual = random_array(random, dtype, c.x.num_elems(), amplitude);
  c.weight = random_array(random, dtype, static_cast<std::size_t>(c.dim), 2);
  return c;
}

// `input` is x, or x + residual rounded once.
void compare_norm(const NormCase& c, const HostArray& input, const HostArray& got, Comparison& found) {
  const auto dim = static_cast<std::size_t>(c.dim);
  std::vector<double> oracle(input.num_elems());
  std::vector<float> honest(input.num_elems());
  for (std::size_t row = 0; row < oracle.size(); row += dim) {
    double square = 0;
    float honest_square = 0;
    for (std::size_t i = row; i < row + dim; ++i) {
      square += input[i] * input[i];
      honest_square += static_cast<float>(input[i]) * static_cast<float>(input[i]);
    }
    const double scale = 1 / std::sqrt(square / c.dim + static_cast<double>(c.eps));
    const float honest_scale = 1 / std::sqrt(honest_square / static_cast<float>(c.dim) + c.eps);
    for (std::size_t i = row; i < row + dim; ++i) {
      oracle[i] = input[i] * scale * c.weight[i - row];
      const double normalised = round_to(got.dtype(), static_cast<float>(input[i]) * honest_scale);
      honest[i] = static_cast<float>(normalised * c.weight[i - row]);
    }
  }
  compare(got, oracle, honest, describe(c), found);
}

void check_rms_norm(bool has_residual, CheckCase& check, Comparison& found) {
  Random& random = check.random;
  const NormCase c = make_norm_case(has_residual, check.dtype, random);
  const std::size_t cols = c.token_cols(), x_stride = cols + random_gap(random);
  const std::size_t residual_stride = cols + random_gap(random),
                    y_stride = c.in_place ? x_stride : cols + random_gap(random);
  const auto num_tokens = static_cast<std::size_t>(c.num_tokens);
  const GuardedBuffer x(check.device, spread_rows(c.x, cols, x_stride)), weight(check.device, c.weight);
  const GuardedBuffer residual(check.device, spread_rows(c.residual, cols, residual_stride));
  const GuardedBuffer own_y(check.device, num_tokens * y_stride * dtype_bytes(check.dtype));
  const GuardedBuffer& y = c.in_place ? x : own_y;
  RmsNormParams p{};
  p.x = x.data();
  p.residual = has_residual ? residual.data() : nullptr;
  p.weight = weight.data();
  p.y = y.data();
  p.x_stride = static_cast<long>(x_stride);
  p.y_stride = static_cast<long>(y_stride);
  p.residual_stride = static_cast<long>(residual_stride);
  p.num_rows = c.num_tokens * c.group;
  p.dim = c.dim;
  p.group = c.group == 1 && random.chance(0.5) ? 0 : c.group;
  p.eps = c.eps;
  check.device.run(RowVariant{KernelName::kRmsNorm, check.dtype}, p, p.num_rows);
  check.device.synchronize();

  HostArray input = c.x;
  for (std::size_t i = 0; has_residual && i < input.num_elems(); ++i) {
    input.set(i, static_cast<float>(c.x[i]) + static_cast<float>(c.residual[i]));
  }
  const HostArray residual_after = residual.download(check.dtype), spread = y.download(check.dtype);
  found.expect(gather_rows(residual_after, num_tokens, cols, residual_stride).bytes() ==
                   (has_residual ? input : c.residual).bytes(),
               [&] { return "the residual is not x + residual, rounded once; " + describe(c); });
  compare_norm(c, input, gather_rows(spread, num_tokens, cols, y_stride), found);
  found.expect(gaps_intact(spread, num_tokens, cols, y_stride) && y.guards_intact() &&
                   gaps_intact(residual_after, num_tokens, cols, residual_stride) && residual.guards_intact(),
               [&] { return "memory around the output was written; " + describe(c); });
}

void check_rope(CheckCase& check, Comparison& found) {
  Random& random = check.random;
  const int num_tokens = random.between(1, 20), num_heads = random.between(1, 9), max_position = 300;
  const int head_dim = 2 * (random.chance(0.5) ? random.pick({16, 32, 64}) : random.between(1, 128)),
            half = head_dim / 2;
  const auto cols = static_cast<std::size_t>(num_heads * head_dim);
  const std::size_t stride = cols + static_cast<std::size_t>(random.between(0, 64));
  const HostArray x = random_array(random, check.dtype, static_cast<std::size_t>(num_tokens) * cols, 4);
  std::vector<float> cos_sin(num_elems(max_position, head_dim));
  for (int pos = 0; pos < max_position; ++pos) {
    for (int i = 0; i < half; ++i) {
      const double angle = pos * std::pow(10000.0, -2.0 * i / head_dim);
      cos_sin[num_elems(pos, head_dim) + static_cast<std::size_t>(i)] = static_cast<float>(std::cos(angle));
      cos_sin[num_elems(pos, head_dim) + static_cast<std::size_t>(half + i)] =
          static_cast<float>(std::sin(angle));
    }
  }
  std::vector<std::int32_t> positions;
  for (int t = 0; t < num_tokens; ++t) positions.push_back(random.between(0, max_position - 1));
  const GuardedBuffer device_x(check.device, spread_rows(x, cols, stride));
  const GuardedBuffer device_positions(check.device, positions), device_table(check.device, cos_sin);
  RopeParams p{};
  p.x = device_x.data();
  p.positions = device_positions.as<int>();
  p.cos_sin = device_table.as<float>();
  p.token_stride = static_cast<long>(stride);
  p.num_tokens = num_tokens;
  p.num_heads = num_heads;
  p.head_dim = head_dim;
  check.device.run(RowVariant{KernelName::kRope, check.dtype}, p, num_tokens);
  check.device.synchronize();

  const HostArray spread = device_x.download(check.dtype);
  const HostArray got = gather_rows(spread, static_cast<std::size_t>(num_tokens), cols, stride);
  const std::string what = fmt::format("{} tokens, {} heads of {}", num_tokens, num_heads, head_dim);
  found.expect(
      gaps_intact(spread, static_cast<std::size_t>(num_tokens), cols, stride) && device_x.guards_intact(),
      [&] { return "memory around the heads was written; " + what; });
  for (std::size_t i = 0; i < got.num_elems(); ++i) {
    const auto dim = static_cast<int>(i % static_cast<std::size_t>(head_dim));
    const bool first = dim < half;
    const float* row = &cos_sin[num_elems(positions[i / cols], head_dim)];
    const double c = row[dim % half], s = row[half + dim % half];
    const double other = x[first ? i + static_cast<std::size_t>(half) : i - static_cast<std::size_t>(half)];
    const double want = first ? x[i] * c - other * s : x[i] * c + other * s;
    // Two products of at most 4 and their sum in f32, then one rounding.
    const double bound = rounding_unit(check.dtype) * std::fabs(want) + 3 * 0x1p-24 * 8;
    found.expect_near(got[i], want, bound, [&] { return fmt::format("{}, element {}", what, i); });
  }
}

double act(ActivationKind kind, double x) {
  switch (kind) {
    case ActivationKind::kSilu:
      return x / (1 + std::exp(-x));
    case ActivationKind::kGelu:
      return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
    case ActivationKind::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
  }
  return 0;
}

void check_activation(ActivationKind kind, CheckCase& check, Comparison& found) {
  Random& random = check.random;
  const int num_rows = random.between(1, 12), dim = random_dim(random);
  HostArray gate_up =
      random_array(random, check.dtype, num_elems(num_rows, 2 * dim), random.pick({0.1, 3.0, 12.0, 2000.0}));
  const GuardedBuffer in(check.device, gate_up),
      out(check.device, num_elems(num_rows, dim) * dtype_bytes(check.dtype));
  ActivationParams p{};
  p.gate_up = in.data();
  p.y = out.data();
  p.num_rows = num_rows;
  p.dim = dim;
  p.kind = kind;
  check.device.run(RowVariant{KernelName::kActivation, check.dtype}, p, num_rows);
  check.device.synchronize();

  const HostArray got = out.download(check.dtype);
  const std::string what = fmt::format("{} rows of {}", num_rows, dim);
  for (std::size_t i = 0; i < got.num_elems(); ++i) {
    const std::size_t row = i / static_cast<std::size_t>(dim), col = i % static_cast<std::size_t>(dim);
    const std::size_t at = row * static_cast<std::size_t>(2 * dim) + col;
    const double gate = gate_up[at], up = gate_up[at + static_cast<std::size_t>(dim)];
    const double activated = act(kind, gate);
    double want = activated * up;
    // f16 ends at 65504.
    if (check.dtype == DType::kF16) want = round_to(DType::kF16, want);
    // The activation and the product are rounded; 1 + tanh, 1 + erf and exp2 are off by about 2^-22, the
    // latter also by its rounded argument, 2^-24 |x|; and it dies below 2^-126.
    const double absolute = kind == ActivationKind::kSilu
                                ? 0x1p-22 * std::fabs(activated) * (2 + std::fabs(gate))
                                : 0x1p-22 * std::fabs(gate);
    const double smallest = check.dtype == DType::kF16 ? 0x1p-24 : 0x1p-126 * (1 + std::fabs(gate));
    const double bound =
        2.1 * rounding_unit(check.dtype) * std::fabs(want) + (absolute + smallest) * (1 + std::fabs(up));
    found.expect_near(got[i], want, bound, [&] { return fmt::format("{}, gate {}, up {}", what, gate, up); });
  }
  found.expect(out.guards_intact(), [&] { return "memory around the output was written; " + what; });
}

void check_embedding(CheckCase& check, Comparison& found) {
  Random& random = check.random;
  const int vocab_size = random.between(1, 300), dim = random_dim(random), num_rows = random.between(1, 40);
  const HostArray table = random_array(random, check.dtype, num_elems(vocab_size, dim), 3);
  std::vector<std::int32_t> ids;
  for (int r = 0; r < num_rows; ++r)
    ids.push_back(random.pick({0, vocab_size - 1, random.between(0, vocab_size - 1)}));
  const GuardedBuffer device_table(check.device, table), device_ids(check.device, ids);
  const GuardedBuffer out(check.device, num_elems(num_rows, dim) * dtype_bytes(check.dtype));
  EmbeddingParams p{};
  p.table = device_table.data();
  p.ids = device_ids.as<int>();
  p.y = out.data();
  p.num_rows = num_rows;
  p.dim = dim;
  check.device.run(RowVariant{KernelName::kEmbedding, check.dtype}, p, num_rows);
  check.device.synchronize();
  const HostArray got = out.download(check.dtype);
  bool same = out.guards_intact();
  for (std::size_t r = 0; r < ids.size(); ++r) {
    same = same && got.same_bits(r * static_cast<std::size_t>(dim), static_cast<std::size_t>(dim), table,
                                 num_elems(ids[r], dim));
  }
  found.expect(same, [&] { return fmt::format("{} rows of {}", num_rows, dim); });
}

}  // namespace

std::vector<Check> layer_checks() {
  std::vector<Check> checks;
  for (const bool residual : {false, true}) {
    checks.push_back({"rms_norm", residual ? "with residual" : "plain, in place, rows in groups", 150,
                      kAllDTypes,
                      [=](CheckCase& c, Comparison& found) { check_rms_norm(residual, c, found); }});
  }
  checks.push_back({"rope", "strides, any even head size", 150, kAllDTypes, check_rope});
  const std::pair<ActivationKind, const char*> kinds[] = {{ActivationKind::kSilu, "silu gate"},
                                                          {ActivationKind::kGelu, "gelu gate"},
                                                          {ActivationKind::kGeluTanh, "gelu_tanh gate"}};
  for (const auto& [kind, name] : kinds) {
    checks.push_back({"activation", name, 150, kAllDTypes,
                      [which = kind](CheckCase& c, Comparison& found) {
                        check_activation(which, c, found);
                      }});
  }
  checks.push_back({"embedding", "bits of rows", 150, kAllDTypes, check_embedding});
  return checks;
}

}  // namespace quire
