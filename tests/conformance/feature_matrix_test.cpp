// The support matrix is true: every feature that a backend says yes to runs on every target that executes on
// this machine and agrees with the float64 oracle; what it says no to is refused by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>

#include "base/check.h"
#include "device/registry.h"
#include "selftest/paged_problem.h"
#include "targets/cpu/cpu_device.h"
#include "targets/cpu/levels.h"
#include "targets/emulator/emulated_kernels.h"
#include "targets/emulator/emulator_device.h"

namespace quire {
namespace {

// A small problem that asks for none of the features that can be left out: two requests, one of them a
// decode.
AttentionCase plain_case() {
  AttentionCase c;
  c.desc.num_qo_heads = c.desc.num_kv_heads = 2;
  c.desc.head_dim_qk = c.desc.head_dim_vo = 64;
  c.desc.page_size = 16;
  c.desc.dtype = DType::kBF16;
  c.desc.sm_scale = default_sm_scale(64);
  c.query_len = {21, 1};
  c.kv_len = {70, 90};
  c.score_spread = 2;
  return c;
}

// What makes the plain problem ask for a feature, so that it matters for the result.
struct Recipe {
  const char* feature;
  void (*ask)(AttentionCase& c);
  bool is_formula;  // whoever ignores the feature gets other numbers
};
constexpr Recipe kRecipes[] = {
    {"causal", [](AttentionCase&) {}, false},
    {"non-causal", [](AttentionCase& c) { c.desc.causal = false; }, true},
    {"grouped queries", [](AttentionCase& c) { c.desc.num_qo_heads = 6; }, false},
    {"head_dim_vo != head_dim_qk", [](AttentionCase& c) { c.desc.head_dim_vo = 32; }, false},
    {"head size not a multiple of 16",
     [](AttentionCase& c) {
       c.desc.head_dim_qk = 61;
       c.desc.head_dim_vo = 59;
     },
     false},
    {"page size not a multiple of 16", [](AttentionCase& c) { c.desc.page_size = 7; }, false},
    {"sliding window", [](AttentionCase& c) { c.desc.window = 9; }, true},
    {"soft cap", [](AttentionCase& c) { c.desc.logits_soft_cap = 1.5f; }, true},
    {"ALiBi", [](AttentionCase& c) { c.desc.position_bias = PositionBias::kAlibi; }, true},
    {"ALiBi-sqrt", [](AttentionCase& c) { c.desc.position_bias = PositionBias::kAlibiSqrt; }, true},
    {"sinks", [](AttentionCase& c) { c.desc.has_sinks = true; }, true},
    {"batch invariance", [](AttentionCase& c) { c.desc.batch_invariant = true; }, false},
    {"f32", [](AttentionCase& c) { c.desc.dtype = DType::kF32; }, false},
    {"f16", [](AttentionCase& c) { c.desc.dtype = DType::kF16; }, false},
    {"bf16", [](AttentionCase&) {}, false},
};

const Recipe* recipe_of(const AttentionFeature& feature) {
  const auto is_it = [&](const Recipe& r) { return std::string(r.feature) == feature.name; };
  const auto* found = std::find_if(std::begin(kRecipes), std::end(kRecipes), is_it);
  return found == std::end(kRecipes) ? nullptr : found;
}

AttentionCase case_of(const Recipe& recipe) {
  AttentionCase c = plain_case();
  recipe.ask(c);
  return c;
}

// A device of this machine, by the name that users give.
struct Place {
  std::string target, level;
};
void PrintTo(const Place& place, std::ostream* out) { *out << place.target << " " << place.level; }

std::vector<Place> places() {
  std::vector<Place> all;
  for (const CpuLevel& level : cpu_levels()) {
    if (level.present) all.push_back({"cpu", level.name});
  }
  for (const char* chip : {"sm_80", "sm_90a"}) {
    if (!emulated_kernels().empty()) all.push_back({"emulator", chip});
  }
  return all;
}

std::unique_ptr<Device> open(const Place& place) {
  TargetRegistry registry;
  register_cpu_target(registry);
  register_emulator_target(registry);
  DeviceOptions options;
  if (place.target == "cpu") {
    options.settings = {{"cpu.isa", place.level}, {"cpu.threads", "2"}};
  } else {
    options.architecture = place.level;
  }
  return registry.open(place.target, options);
}

bool is_yes(const AttentionBackend& backend, const AttentionFeature& feature, const Device& device) {
  return backend.supports(feature, device);
}
std::string reason_against(const AttentionBackend& backend, const AttentionDesc& desc, const Device& device) {
  return backend.why_not(desc, device);
}
BackendChoice choose(const AttentionBackend& backend, const AttentionDesc& desc, const Device& device) {
  return choose_backend(backend.name(), desc, device);
}

bool same_bits(const AttentionOutput& whole, std::size_t first_row, const AttentionOutput& part,
               const AttentionDesc& desc) {
  const std::size_t num_rows = part.lse.size(), dim = static_cast<std::size_t>(desc.head_dim_vo);
  return whole.o.same_bits(first_row * dim, num_rows * dim, part.o, 0) &&
         std::equal(part.lse.begin(), part.lse.end(),
                    whole.lse.begin() + static_cast<std::ptrdiff_t>(first_row));
}

// Against the oracle; and with batch invariance the same bits for each request alone.
void expect_right(Device& device, const AttentionBackend& backend, const AttentionCase& c) {
  Random random(3);
  Comparison found;
  const PagedProblem problem(device, c, make_attention_data(c, random), random);
  const auto op = choose(backend, c.desc, device).backend->make(device, c.desc);
  const std::vector<PagedProblem::Part> parts = problem.all_parts();
  const AttentionOutput output = problem.run(*op, parts, found);
  problem.compare(output, parts, probs_dtype(device, c.desc.dtype), found);
  std::size_t first_row = 0;
  for (const PagedProblem::Part& part : parts) {
    if (!c.desc.batch_invariant) break;
    const AttentionOutput alone = problem.run(*op, {&part, 1}, found);
    EXPECT_TRUE(same_bits(output, first_row, alone, c.desc)) << "request " << part.request;
    first_row += alone.lse.size();
  }
  EXPECT_TRUE(found.passed()) << found.worst();
}

class FeatureMatrix : public testing::TestWithParam<Place> {};

TEST_P(FeatureMatrix, WhatIsAnsweredYesRunsAndWhatIsAnsweredNoIsRefused) {
  const auto device = open(GetParam());
  int num_run = 0;
  for (const auto& backend : attention_backends()) {
    if (!reason_against(*backend, plain_case().desc, *device).empty()) continue;
    for (const AttentionFeature& feature : attention_features()) {
      SCOPED_TRACE(std::string(backend->name()) + ", " + feature.name);
      const Recipe* recipe = recipe_of(feature);
      ASSERT_NE(recipe, nullptr) << "no problem in this test asks for it";
      const AttentionCase c = case_of(*recipe);
      ASSERT_TRUE(feature.wanted(c.desc));
      if (is_yes(*backend, feature, *device)) {
        EXPECT_EQ(reason_against(*backend, c.desc, *device), "");
        expect_right(*device, *backend, c);
        ++num_run;
        continue;
      }
      try {
        choose(*backend, c.desc, *device);
        ADD_FAILURE() << "answered no, and taken";
      } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::kUnsupported);
        EXPECT_NE(std::string(e.what()).find(feature.name), std::string::npos) << e.what();
      }
    }
  }
  EXPECT_GT(num_run, 0) << "no backend runs here";
}

INSTANTIATE_TEST_SUITE_P(Here, FeatureMatrix, testing::ValuesIn(places()),
                         [](const auto& place) { return place.param.target + "_" + place.param.level; });

// The problems above can tell: an operator that does not know of the feature fails them.
TEST(FeatureRecipes, WhoeverIgnoresAFeatureIsFound) {
  const auto device = open(places().front());
  for (const auto& backend : attention_backends()) {
    for (const Recipe& recipe : kRecipes) {
      if (!recipe.is_formula) continue;
      SCOPED_TRACE(std::string(backend->name()) + ", " + recipe.feature);
      const AttentionCase c = case_of(recipe);
      Random random(3);
      Comparison found;
      const PagedProblem problem(*device, c, make_attention_data(c, random), random);
      const auto op = backend->make(*device, plain_case().desc);
      const std::vector<PagedProblem::Part> parts = problem.all_parts();
      problem.compare(problem.run(*op, parts, found), parts, probs_dtype(*device, c.desc.dtype), found);
      EXPECT_FALSE(found.passed());
    }
  }
}

}  // namespace
}  // namespace quire
