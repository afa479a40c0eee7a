// The error bounds that src/targets/cpu/tile/math.h states, on every level of this machine: a walk through the
// bit patterns of f32 in steps of a prime, against the functions of the standard library in double.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <vector>

#include "math_level.h"

namespace quire {

#if defined(__x86_64__)
MathLevel math_level_v2();
MathLevel math_level_v3();
MathLevel math_level_v4();
#else
MathLevel math_level_neon();
#endif

namespace {

struct NamedLevel {
  const char* name;
  MathLevel math;
};

// Those of this machine.
std::vector<NamedLevel> levels() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  std::vector<NamedLevel> all = {{"v2", math_level_v2()}};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
    all.push_back({"v3", math_level_v3()});
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512cd")) {
    all.push_back({"v4", math_level_v4()});
  }
  return all;
#else
  return {{"neon", math_level_neon()}};
#endif
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// In units of the last place of the exact result; of the smallest normal number below it.
double ulp_error(double got, double want) {
  return std::fabs(got - want) / std::ldexp(1, std::max(-126, std::ilogb(want)) - 23);
}

struct Worst {
  double error = 0;
  float x = 0;
};

struct BitPatterns {
  std::uint64_t begin = 0, end = 1ull << 32, step = 509;
};

// The worst error(got, x) over bit patterns of finite f32 for which `wanted`.
template <class Wanted, class ErrorOf>
Worst sweep(MathArray f, const Wanted& wanted, const ErrorOf& error_of, BitPatterns patterns = {}) {
  Worst worst;
  float x[1024], y[1024];
  int n = 0;
  const auto flush = [&] {
    for (int i = n; i < 1024; ++i) x[i] = x[0];
    f(x, y, 1024);
    for (int i = 0; i < n; ++i) {
      const double error = error_of(y[i], x[i]);
      if (!(error <= worst.error)) worst = {std::isnan(error) ? kInfinity : error, x[i]};
    }
    n = 0;
  };
  for (std::uint64_t bits = patterns.begin; bits < patterns.end; bits += patterns.step) {
    const float value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    if (!std::isfinite(value) || !wanted(value)) continue;
    x[n++] = value;
    if (n == 1024) flush();
  }
  if (n > 0) flush();
  return worst;
}

float apply(MathArray f, float x) {
  float in[16], out[16];
  for (float& lane : in) lane = x;
  f(in, out, 16);
  return out[15];
}

void print(const char* level, const char* what, const Worst& worst, const char* unit) {
  std::printf("%s %-18s worst error %.4g %s at %.9g\n", level, what, worst.error, unit,
              static_cast<double>(worst.x));
}

class MathFunctions : public testing::Test {
 protected:
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
};

TEST_F(MathFunctions, Exp2) {
  for (const auto& [name, math] : levels()) {
    const auto ulps = [](float got, float x) { return ulp_error(got, std::exp2(static_cast<double>(x))); };
    Worst worst = sweep(
        math.exp2, [](float x) { return x >= -126 && x < 128; }, ulps);
    print(name, "exp2", worst, "ulp");
    EXPECT_LE(worst.error, 3);
    worst = sweep(
        math.exp2_bounded, [](float x) { return x >= -126 && x < 128; }, ulps);
    EXPECT_LE(worst.error, 3);
    const auto is_zero = [](float got, float) { return got == 0 ? 0 : kInfinity; };
    EXPECT_EQ(sweep(
                  math.exp2, [](float x) { return x < -126; }, is_zero)
                  .error,
              0);
    EXPECT_EQ(sweep(
                  math.exp2_bounded, [](float x) { return x < -126; }, is_zero)
                  .error,
              0);
    EXPECT_EQ(
        sweep(
            math.exp2, [](float x) { return x >= 128; }, [&](float got, float) { return got == inf ? 0 : 1; })
            .error,
        0);
    for (const MathArray f : {math.exp2, math.exp2_bounded}) {
      EXPECT_EQ(apply(f, -inf), 0);
      EXPECT_EQ(apply(f, 0), 1);
      EXPECT_TRUE(std::isnan(apply(f, nan)));
    }
    EXPECT_EQ(apply(math.exp2, inf), inf);
    for (int i = -126; i < 128; ++i) EXPECT_EQ(apply(math.exp2, static_cast<float>(i)), std::ldexp(1.0f, i));
  }
}

TEST_F(MathFunctions, Log2) {
  for (const auto& [name, math] : levels()) {
    // Relative away from 1, absolute near it.
    const auto far = [](float x) { return std::isnormal(x) && x > 0 && (x < 0.5f || x > 2); };
    Worst worst = sweep(math.log2, far,
                        [](float got, float x) { return ulp_error(got, std::log2(static_cast<double>(x))); });
    print(name, "log2", worst, "ulp");
    EXPECT_LE(worst.error, 3);
    const BitPatterns near{std::bit_cast<std::uint32_t>(0.5f), std::bit_cast<std::uint32_t>(2.0f) + 1u, 1};
    const auto absolute = [](float got, float x) {
      return std::fabs(got - std::log2(static_cast<double>(x)));
    };
    worst = sweep(
        math.log2, [](float) { return true; }, absolute, near);
    print(name, "log2 near 1", worst, "");
    EXPECT_LE(worst.error, 0x1p-22);
    EXPECT_EQ(apply(math.log2, 0), -inf);
    EXPECT_EQ(apply(math.log2, 1e-40f), -inf);
    EXPECT_EQ(apply(math.log2, 1), 0);
    EXPECT_EQ(apply(math.log2, inf), inf);
    EXPECT_TRUE(std::isnan(apply(math.log2, -1)));
    EXPECT_TRUE(std::isnan(apply(math.log2, nan)));
  }
}

TEST_F(MathFunctions, TanhAndErf) {
  for (const auto& [name, math] : levels()) {
    const auto all = [](float) { return true; };
    Worst worst = sweep(math.tanh, all, [](float got, float x) {
      return std::fabs(got - std::tanh(static_cast<double>(x)));
    });
    print(name, "tanh", worst, "");
    EXPECT_LE(worst.error, 0x1p-22);
    worst = sweep(math.erf, all,
                  [](float got, float x) { return std::fabs(got - std::erf(static_cast<double>(x))); });
    print(name, "erf", worst, "");
    EXPECT_LE(worst.error, 0x1p-22);
    for (const MathArray f : {math.tanh, math.erf}) {
      EXPECT_EQ(apply(f, 0), 0);
      EXPECT_EQ(apply(f, inf), 1);
      EXPECT_EQ(apply(f, -inf), -1);
      EXPECT_TRUE(std::isnan(apply(f, nan)));
    }
  }
}

TEST_F(MathFunctions, SquareRoots) {
  for (const auto& [name, math] : levels()) {
    const auto positive = [](float x) { return x >= 0; };
    EXPECT_EQ(
        sweep(math.sqrt, positive, [](float got, float x) { return got == std::sqrt(x) ? 0 : 1; }).error, 0)
        << name;
    for (float x = 1e-30f; x < 1e30f; x *= 1.37f) {
      EXPECT_LE(ulp_error(math.rsqrt_of_one(x), 1 / std::sqrt(static_cast<double>(x))), 1.5) << x;
    }
  }
}

TEST_F(MathFunctions, SingleValuesHaveTheBitsOfVectors) {
  for (const auto& [name, math] : levels()) {
    for (float x = -140; x < 140; x += 0.37f) {
      EXPECT_EQ(math.exp2_of_one(x), apply(math.exp2, x)) << name;
      EXPECT_EQ(math.tanh_of_one(x), apply(math.tanh, x)) << name;
      const float positive = std::fabs(x) + 0.01f;
      EXPECT_EQ(math.log2_of_one(positive), apply(math.log2, positive)) << name;
    }
  }
}

}  // namespace
}  // namespace quire
