// Each launch of a decoder against float64, in every element type.
#include "model/decoder_kernels.h"

#include <gtest/gtest.h>

#include <functional>

#include "kernels/params.h"
#include "unit/model/device_arrays.h"

namespace quire {
namespace {

constexpr double kEps = 1e-3;  // large enough that a norm without it would be noticed

class DecoderKernelsTest : public testing::TestWithParam<DType> {
 protected:
  DecoderKernels kernels(bool batch_invariant = false) {
    return {*device_, GetParam(), kEps, batch_invariant};
  }

  std::vector<double> random(int num, unsigned seed, double scale = 1.0) const {
    return random_values(static_cast<std::size_t>(num), GetParam(), seed, scale);
  }
  std::unique_ptr<Buffer> put(const std::vector<double>& values) {
    return to_device(*device_, values, GetParam());
  }
  std::unique_ptr<Buffer> zeros(int num) { return put(std::vector<double>(static_cast<std::size_t>(num))); }
  std::vector<double> get(const Buffer& buffer) { return from_device(*device_, buffer, GetParam()); }

  // Within `roundings` roundings to the element type, of numbers of this size, and f32 arithmetic.
  void expect_close(const std::vector<double>& found, const std::vector<double>& expected, double roundings) {
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      const double bound = roundings * (rounding_of(GetParam()) * (std::abs(expected[i]) + 1e-3) + 1e-6);
      ASSERT_NEAR(found[i], expected[i], bound) << "element " << i;
    }
  }

  // A matrix [out_dim, in_dim] in the device's layout, element by element.
  std::unique_ptr<Buffer> pack(const std::vector<double>& weight, int out_dim, int in_dim) {
    const auto layout = device_->weight_layout({GetParam()}, out_dim, in_dim);
    std::vector<double> packed(static_cast<std::size_t>(layout->elems()));
    for (int n = 0; n < out_dim; ++n) {
      for (int k = 0; k < in_dim; ++k)
        packed[static_cast<std::size_t>(layout->offset(n, k))] =
            weight[static_cast<std::size_t>(n * in_dim + k)];
    }
    return put(packed);
  }

  const std::unique_ptr<Device> device_ = open_cpu();
};

// x / sqrt(mean(x^2) + eps) * weight for `dim` elements from `first` on.
void normalise(std::vector<double>& x, std::size_t first, std::size_t dim,
               const std::vector<double>& weight) {
  double square = 0;
  for (std::size_t i = 0; i < dim; ++i) square += x[first + i] * x[first + i];
  const double inverse = 1.0 / std::sqrt(square / static_cast<double>(dim) + kEps);
  for (std::size_t i = 0; i < dim; ++i) x[first + i] *= inverse * weight[i];
}

TEST_P(DecoderKernelsTest, GathersRows) {
  constexpr int kDim = 45, kVocab = 20;
  const std::vector<double> table = random(kVocab * kDim, 1);
  const std::vector<std::int32_t> ids = {19, 0, 7, 7, 1};
  const auto ids_buffer = to_device(*device_, ids);
  const auto y = zeros(5 * kDim);
  kernels().gather(*put(table), ids_buffer->as<std::int32_t>(), *y, 5, kDim);
  std::vector<double> expected;
  for (const int id : ids)
    expected.insert(expected.end(), table.begin() + id * kDim, table.begin() + (id + 1) * kDim);
  EXPECT_EQ(get(*y), expected);
}

TEST_P(DecoderKernelsTest, NormalisesRows) {
  for (const int dim : {1, 7, 64, 321}) {
    constexpr int kRows = 4;
    const std::vector<double> x = random(kRows * dim, 1, 0.1), weight = random(dim, 2);
    std::vector<double> expected = x;
    for (int r = 0; r < kRows; ++r)
      normalise(expected, static_cast<std::size_t>(r * dim), static_cast<std::size_t>(dim), weight);
    const auto in = put(x), y = zeros(kRows * dim), weights = put(weight);
    kernels().norm(*weights, *in, nullptr, *y, kRows, dim);
    expect_close(get(*y), expected, 3);
    EXPECT_EQ(get(*in), x) << "without a residual the input stays";
    kernels().norm(*weights, *in, nullptr, *in, kRows, dim);
    expect_close(get(*in), expected, 3);
  }
}

TEST_P(DecoderKernelsTest, NormalisesTheSumWithTheResidual) {
  constexpr int kRows = 3, kDim = 50;
  const std::vector<double> x = random(kRows * kDim, 1), residual = random(kRows * kDim, 2),
                            weight = random(kDim, 3);
  std::vector<double> sum = x;
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += residual[i];
  std::vector<double> expected = sum;
  for (int r = 0; r < kRows; ++r) normalise(expected, static_cast<std::size_t>(r * kDim), kDim, weight);
  const auto in = put(x), kept = put(residual), y = zeros(kRows * kDim);
  kernels().norm(*put(weight), *in, kept.get(), *y, kRows, kDim);
  expect_close(get(*kept), sum, 1);
  // A sum near 0 is rounded relative to its own size, and the norm divides all by the same number.
  expect_close(get(*y), expected, 5);
}

TEST_P(DecoderKernelsTest, NormalisesHeadsInPlaceAndNothingElse) {
  constexpr int kTokens = 3, kHeads = 2, kDim = 10, kStride = 55, kFirst = 20;
  const std::vector<double> rows = random(kTokens * kStride, 1), weight = random(kDim, 2);
  std::vector<double> expected = rows;
  for (int t = 0; t < kTokens; ++t) {
    for (int h = 0; h < kHeads; ++h)
      normalise(expected, static_cast<std::size_t>(t * kStride + kFirst + h * kDim), kDim, weight);
  }
  const auto buffer = put(rows);
  HeadRows heads{buffer->data() + kFirst * dtype_bytes(GetParam()), kTokens, kHeads, kDim, kStride};
  kernels().head_norm(*put(weight), heads);
  const std::vector<double> found = get(*buffer);
  expect_close(found, expected, 3);
  for (int t = 0; t < kTokens; ++t) {
    for (int i = 0; i < kStride; ++i) {
      const auto at = static_cast<std::size_t>(t * kStride + i);
      if (i >= kFirst && i < kFirst + kHeads * kDim) continue;
      EXPECT_EQ(found[at], rows[at]) << "token " << t << ", element " << i;
    }
  }
}

TEST_P(DecoderKernelsTest, LinearLayersWithAndWithoutBias) {
  struct Shape {
    int rows, in, out;
  };
  for (const Shape s : {Shape{1, 37, 50}, {5, 200, 17}, {40, 64, 96}}) {
    for (const bool has_bias : {false, true}) {
      for (const bool to_f32 : {false, true}) {
        const std::vector<double> x = random(s.rows * s.in, 1), w = random(s.out * s.in, 2, 0.2),
                                  bias = random(s.out, 3);
        PackedLinear linear{pack(w, s.out, s.in), has_bias ? put(bias) : nullptr, s.in, s.out};
        const DType out = to_f32 ? DType::kF32 : GetParam();
        const auto y =
            to_device(*device_, std::vector<double>(static_cast<std::size_t>(s.rows * s.out)), out);
        kernels().linear(linear, *put(x), *y, s.rows, to_f32);
        const std::vector<double> found = from_device(*device_, *y, out);
        for (int r = 0; r < s.rows; ++r) {
          for (int n = 0; n < s.out; ++n) {
            double sum = has_bias ? bias[static_cast<std::size_t>(n)] : 0.0, size = std::abs(sum);
            for (int k = 0; k < s.in; ++k) {
              const double product =
                  x[static_cast<std::size_t>(r * s.in + k)] * w[static_cast<std::size_t>(n * s.in + k)];
              sum += product;
              size += std::abs(product);
            }
            const double bound = 1.01 * rounding_of(out) * std::abs(sum) + 4e-6 * size;
            ASSERT_NEAR(found[static_cast<std::size_t>(r * s.out + n)], sum, bound)
                << "row " << r << ", column " << n;
          }
        }
      }
    }
  }
}

TEST_P(DecoderKernelsTest, BatchInvariantRowsDoNotDependOnTheirNumber) {
  constexpr int kRows = 70, kIn = 96, kOut = 48;
  const std::vector<double> x = random(kRows * kIn, 1);
  PackedLinear linear{pack(random(kOut * kIn, 2), kOut, kIn), nullptr, kIn, kOut};
  const auto all = zeros(kRows * kOut), one = zeros(kOut);
  kernels(true).linear(linear, *put(x), *all, kRows);
  const std::vector<double> together = get(*all);
  for (const int row : {0, 33, 69}) {
    kernels(true).linear(linear, *put({x.begin() + row * kIn, x.begin() + (row + 1) * kIn}), *one, 1);
    EXPECT_EQ(get(*one),
              std::vector<double>(together.begin() + row * kOut, together.begin() + (row + 1) * kOut));
  }
}

// Queries, keys and values of three tokens in rows of one buffer, and a cache of two pages for two KV heads.
struct CacheProblem {
  static constexpr int kTokens = 3, kQHeads = 4, kKvHeads = 2, kDim = 8, kPageSize = 16, kPages = 2;
  static constexpr int kStride = (kQHeads + 2 * kKvHeads) * kDim, kRotated = (kQHeads + kKvHeads) * kDim;

  CacheProblem(Device& device, DType dtype)
      : rows(random_values(kTokens * kStride, dtype, 1)), buffer(to_device(device, rows, dtype)) {
    part.desc.num_qo_heads = kQHeads;
    part.desc.num_kv_heads = kKvHeads;
    part.desc.head_dim_qk = part.desc.head_dim_vo = kDim;
    part.desc.page_size = kPageSize;
    part.desc.dtype = dtype;
    part.layout = kv_layout(device, part.desc);
    const std::size_t elems = static_cast<std::size_t>(part.layout.page_stride * kPages);
    pool = to_device(device, std::vector<double>(elems, kUntouched), dtype);
    slot_buffer = to_device(device, slots);
    kv.k = buffer->data() + kQHeads * kDim * dtype_bytes(dtype);
    kv.v = buffer->data() + kRotated * static_cast<int>(dtype_bytes(dtype));
    kv.kv_pool = pool->data();
    kv.slot_mapping = slot_buffer->as<std::int64_t>();
    kv.k_token_stride = kv.v_token_stride = kStride;
    kv.num_tokens = kTokens;
    heads = {buffer->data(), kTokens, kQHeads + kKvHeads, kDim, kStride};
  }

  double row_at(const std::vector<double>& of, int token, int i) const {
    return of[static_cast<std::size_t>(token * kStride + i)];
  }

  // Keys and values of the pool are those of `expected`, and nothing else has been written.
  void check_pool(Device& device, const std::vector<double>& expected, double bound) const {
    std::vector<double> left = from_device(device, *pool, part.desc.dtype);
    for (int t = 0; t < kTokens; ++t) {
      const std::int64_t slot = slots[static_cast<std::size_t>(t)];
      for (int h = 0; h < kKvHeads && slot >= 0; ++h) {
        for (int d = 0; d < kDim; ++d) {
          const int token = static_cast<int>(slot % kPageSize);
          double& k = left[static_cast<std::size_t>(part.layout.k_index(slot / kPageSize, h, token, d))];
          double& v = left[static_cast<std::size_t>(part.layout.v_index(slot / kPageSize, h, token, d))];
          EXPECT_NEAR(k, row_at(expected, t, (kQHeads + h) * kDim + d), bound)
              << "key " << t << " head " << h << " dim " << d;
          EXPECT_EQ(v, row_at(rows, t, kRotated + h * kDim + d))
              << "value " << t << " head " << h << " dim " << d;
          k = v = kUntouched;
        }
      }
    }
    EXPECT_EQ(left, std::vector<double>(left.size(), kUntouched));
  }

  static constexpr double kUntouched = 77;
  const std::vector<double> rows;
  const std::vector<std::int64_t> slots = {21, -1, 3};
  std::unique_ptr<Buffer> buffer, pool, slot_buffer;
  GroupedAttention part;
  KvWriteTensors kv;
  HeadRows heads;
};

TEST_P(DecoderKernelsTest, WritesKeysAndValuesToTheirSlots) {
  CacheProblem problem(*device_, GetParam());
  kernels().write(problem.part, problem.kv);
  problem.check_pool(*device_, problem.rows, 0);
  EXPECT_EQ(get(*problem.buffer), problem.rows);
}

TEST_P(DecoderKernelsTest, RotatesQueriesAndKeysBeforeTheyAreWritten) {
  CacheProblem problem(*device_, GetParam());
  constexpr int kHalf = CacheProblem::kDim / 2, kPositions = 30;
  const std::vector<std::int32_t> positions = {29, 4, 0};
  std::vector<double> table;  // [kPositions, 2, kHalf]
  for (int p = 0; p < kPositions; ++p) {
    for (int i = 0; i < kHalf; ++i) table.push_back(std::cos(p * std::pow(10.0, -i)));
    for (int i = 0; i < kHalf; ++i) table.push_back(std::sin(p * std::pow(10.0, -i)));
  }
  std::vector<double> expected = problem.rows;
  for (int t = 0; t < CacheProblem::kTokens; ++t) {
    for (int first = 0; first < CacheProblem::kRotated; first += CacheProblem::kDim) {
      for (int i = 0; i < kHalf; ++i) {
        double& a = expected[static_cast<std::size_t>(t * CacheProblem::kStride + first + i)];
        double& b = expected[static_cast<std::size_t>(t * CacheProblem::kStride + first + i + kHalf)];
        const double angle = positions[static_cast<std::size_t>(t)] * std::pow(10.0, -i), old_a = a;
        a = a * std::cos(angle) - b * std::sin(angle);
        b = b * std::cos(angle) + old_a * std::sin(angle);
      }
    }
  }
  const auto positions_buffer = to_device(*device_, positions);
  const auto cos_sin = to_device(*device_, table, DType::kF32);
  kernels().rotate_and_write(problem.heads, positions_buffer->as<std::int32_t>(), cos_sin->as<float>(),
                             problem.part, problem.kv);
  const double bound = 4 * rounding_of(GetParam()) + 2e-6;  // of numbers up to 4
  const std::vector<double> found = get(*problem.buffer);
  for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], bound) << "element " << i;
  for (int t = 0; t < CacheProblem::kTokens; ++t) {
    for (int i = CacheProblem::kRotated; i < CacheProblem::kStride; ++i)
      EXPECT_EQ(problem.row_at(found, t, i), problem.row_at(problem.rows, t, i)) << "values are not rotated";
  }
  problem.check_pool(*device_, expected, bound);
}

TEST_P(DecoderKernelsTest, ActivatesGates) {
  constexpr int kRows = 3, kDim = 70;
  const std::vector<double> gate_up = random(kRows * 2 * kDim, 1, 2.0);
  const std::pair<ActivationKind, std::function<double(double)>> kinds[] = {
      {ActivationKind::kSilu, [](double x) { return x / (1 + std::exp(-x)); }},
      {ActivationKind::kGelu, [](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }},
      {ActivationKind::kGeluTanh,
       [](double x) {
         return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
       }},
  };
  for (const auto& [kind, activation] : kinds) {
    GatedMlp mlp;
    mlp.dim = kDim;
    mlp.activation = kind;
    const auto y = zeros(kRows * kDim);
    kernels().activate(mlp, *put(gate_up), *y, kRows);
    const std::vector<double> found = get(*y);
    for (int r = 0; r < kRows; ++r) {
      for (int i = 0; i < kDim; ++i) {
        const double gate = gate_up[static_cast<std::size_t>(r * 2 * kDim + i)];
        const double up = gate_up[static_cast<std::size_t>((r * 2 + 1) * kDim + i)],
                     expected = activation(gate) * up;
        const double bound = 2.1 * rounding_of(GetParam()) * (std::abs(expected) + 1e-4) +
                             4e-6 * std::abs(up) * (1 + std::abs(gate));
        ASSERT_NEAR(found[static_cast<std::size_t>(r * kDim + i)], expected, bound)
            << "kind " << static_cast<int>(kind) << ", row " << r << ", element " << i;
      }
    }
  }
}

TEST_P(DecoderKernelsTest, LaunchesSayWhatTheyCost) {
  DecoderKernels k = kernels();
  PackedLinear linear{pack(random(32 * 48, 1), 32, 48), nullptr, 48, 32};
  const auto x = put(random(5 * 48, 2)), y = zeros(5 * 32);
  device_->take_cost();
  k.linear(linear, *x, *y, 5);
  const LaunchCost cost = device_->take_cost();
  EXPECT_EQ(cost.flops, 2.0 * 5 * 48 * 32);
  EXPECT_EQ(cost.bytes, (48.0 * 32 + 5 * (48 + 32)) * static_cast<double>(dtype_bytes(GetParam())));
}

INSTANTIATE_TEST_SUITE_P(Types, DecoderKernelsTest, testing::Values(DType::kF32, DType::kF16, DType::kBF16),
                         [](const auto& test) { return std::string(to_string(test.param)); });

}  // namespace
}  // namespace quire
