// The linear kernel in both of its configurations and with both output types.
#include <algorithm>
#include <cmath>

#include "selftest/linear_problem.h"

namespace quire {

LinearCase make_linear_case(Random& random, DType dtype, int num_rows, double size) {
  LinearCase c{};
  c.dtype = dtype;
  c.to_f32 = random.chance(0.4);
  c.num_rows = num_rows;
  // Odd sizes, and sizes around those of panels and of the steps along k.
  c.in_dim = random.chance(0.3) ? random.pick({1, 2, 15, 16, 17, 511, 512, 513, 2047, 2048, 2049, 4100})
                                : random.between(1, 1200);
  c.out_dim = random.chance(0.3) ? random.pick({1, 15, 16, 17, 63, 64, 65, 255, 256, 257, 530})
                                 : random.between(1, 400);
  while (double(c.num_rows) * c.in_dim * c.out_dim > 4e6 * size && c.out_dim > 1) c.out_dim = (c.out_dim + 1) / 2;
  c.has_bias = random.chance(0.5);
  c.x_gap = random.chance(0.5) ? random.between(1, 40) : 0;
  c.y_gap = random.chance(0.5) ? random.between(1, 40) : 0;
  return c;
}

std::string describe(const LinearCase& c) {
  return fmt::format("[{}, {}] x [{}, {}]{}{}, row gaps {} and {}", c.num_rows, c.in_dim, c.out_dim, c.in_dim,
                     c.has_bias ? " + bias" : "", c.to_f32 ? " to f32" : "", c.x_gap, c.y_gap);
}

LinearProblem::LinearProblem(Device& device, const LinearCase& c, Random& random)
    : device_(device),
      case_(c),
      x_(random_array(random, c.dtype,
                      static_cast<std::size_t>(c.num_rows) * static_cast<std::size_t>(c.in_dim), 1)),
      weight_(random_array(random, c.dtype,
                           static_cast<std::size_t>(c.out_dim) * static_cast<std::size_t>(c.in_dim), 1)),
      bias_(random_array(random, c.dtype, static_cast<std::size_t>(c.out_dim), 1)) {
  const auto layout = device.weight_layout({c.dtype}, c.out_dim, c.in_dim);
  HostArray packed(c.dtype, static_cast<std::size_t>(layout->elems()));
  for (int n = 0; n < c.out_dim; ++n) {
    for (int k = 0; k < c.in_dim; ++k) {
      packed.set(static_cast<std::size_t>(layout->offset(n, k)),
                 weight_[static_cast<std::size_t>(n) * static_cast<std::size_t>(c.in_dim) +
                         static_cast<std::size_t>(k)]);
    }
  }
  packed_ = std::make_unique<GuardedBuffer>(device, packed);
  device_bias_ = std::make_unique<GuardedBuffer>(device, bias_);
}

HostArray LinearProblem::run(int begin, int end, Comparison& found) const {
  const auto in_dim = static_cast<std::size_t>(case_.in_dim),
             out_dim = static_cast<std::size_t>(case_.out_dim);
  const auto num_rows = static_cast<std::size_t>(end - begin);
  const DType out = case_.to_f32 ? DType::kF32 : case_.dtype;
  const std::size_t x_stride = in_dim + static_cast<std::size_t>(case_.x_gap);
  const std::size_t y_stride = out_dim + static_cast<std::size_t>(case_.y_gap);
  HostArray rows(case_.dtype, num_rows * in_dim);
  std::copy_n(x_.bytes().begin() +
                  static_cast<long>(static_cast<std::size_t>(begin) * in_dim * dtype_bytes(case_.dtype)),
              rows.bytes().size(), rows.bytes().begin());
  const GuardedBuffer x(device_, spread_rows(rows, in_dim, x_stride));
  const GuardedBuffer y(device_, num_rows * y_stride * dtype_bytes(out));
  LinearParams p{};
  p.x = x.data();
  p.weight = packed_->data();
  p.bias = case_.has_bias ? device_bias_->data() : nullptr;
  p.y = y.data();
  p.x_stride = static_cast<long>(x_stride);
  p.y_stride = static_cast<long>(y_stride);
  p.num_rows = end - begin;
  p.in_dim = case_.in_dim;
  p.out_dim = case_.out_dim;
  p.batch_invariant = case_.batch_invariant ? 1 : 0;
  device_.run(plain_linear(case_.dtype, out), p, p.num_rows);
  device_.synchronize();
  const HostArray spread = y.download(out);
  found.expect(y.guards_intact() && gaps_intact(spread, num_rows, out_dim, y_stride),
               [&] { return "memory around the output was written; " + describe(case_); });
  return gather_rows(spread, num_rows, out_dim, y_stride);
}

void LinearProblem::compare(const HostArray& y, Comparison& found) const {
  const auto in_dim = static_cast<std::size_t>(case_.in_dim),
             out_dim = static_cast<std::size_t>(case_.out_dim);
  std::vector<double> x(x_.num_elems()), w(weight_.num_elems());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = x_[i];
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = weight_[i];
  std::vector<double> oracle(y.num_elems());
  double honest_error = 0;
  for (std::size_t i = 0; i < y.num_elems(); ++i) {
    const double* a = &x[i / out_dim * in_dim];
    const double* b = &w[i % out_dim * in_dim];
    double sum = 0;
    float honest = 0;
    for (std::size_t k = 0; k < in_dim; ++k) {
      sum += a[k] * b[k];
      honest += static_cast<float>(a[k]) * static_cast<float>(b[k]);
    }
    const double bias = case_.has_bias ? bias_[i % out_dim] : 0;
    oracle[i] = sum + bias;
    honest_error =
        std::max(honest_error, std::fabs(round_to(y.dtype(), honest + static_cast<float>(bias)) - oracle[i]));
  }
  honest_error *= device_.caps().dot_error;
  for (std::size_t i = 0; i < y.num_elems(); ++i) {
    const double floor = rounding_unit(y.dtype()) * std::fabs(oracle[i]) + 0x1p-25;
    found.expect_near(y[i], oracle[i], Comparison::kHonestErrors * honest_error + floor, [&] {
      return fmt::format("{}; row {}, column {}", describe(case_), i / out_dim, i % out_dim);
    });
  }
}

namespace {

void check_linear(bool to_f32, bool many, CheckCase& check, Comparison& found) {
  Random& random = check.random;
  const int num_rows = many ? random.pick({17, 33, 48, 95, 96, 97, 100, 193, 200}) : random.between(1, 16);
  LinearCase c = make_linear_case(random, check.dtype, num_rows, check.size);
  c.to_f32 = to_f32;
  const LinearProblem problem(check.device, c, random);
  problem.compare(problem.run(0, c.num_rows, found), found);
}

}  // namespace

std::vector<Check> linear_checks() {
  std::vector<Check> checks;
  for (const bool to_f32 : {false, true}) {
    for (const bool many : {false, true}) {
      checks.push_back({to_f32 ? "linear_to_f32" : "linear", many ? "17 to 200 rows" : "1 to 16 rows", 24,
                        kAllDTypes,
                        [=](CheckCase& c, Comparison& found) { check_linear(to_f32, many, c, found); }});
    }
  }
  return checks;
}

}  // namespace quire
