// Batch invariance: a token's bits do not depend on its batch mates, on how its request was cut into chunks,
// or on threads.
#include <algorithm>

#include "selftest/linear_problem.h"
#include "selftest/paged_problem.h"
#include "selftest/selftest.h"

namespace quire {
namespace {

using Part = PagedProblem::Part;

AttentionCase invariant_case(CheckCase& check) {
  const AttentionFocus focus = check.random.pick({AttentionFocus::kEverything, AttentionFocus::kGroupSizes,
                                                  AttentionFocus::kWindow, AttentionFocus::kSinks});
  AttentionCase c = make_attention_case(focus, check);
  c.desc.batch_invariant = c.desc.causal = true;
  c.has_lse = true;
  // One long request that is taken apart, with a context that crosses split boundaries, and two mates.
  const int query_len = check.random.between(20, 90);
  c.query_len = {query_len, check.random.between(1, 20), 1};
  c.kv_len = {query_len + check.random.pick({0, 37, 1000, 4090, 9000}), check.random.between(20, 90), 100};
  // Shorter, where many heads would make it slow: first the chunk, then its context.
  while (num_products(c) > 3e7 * check.size && c.kv_len[0] > 12) {
    const int context = c.kv_len[0] - c.query_len[0];
    if (c.query_len[0] > 12) {
      c.query_len[0] /= 2;
      c.kv_len[0] = context + c.query_len[0];
    } else {
      c.kv_len[0] = context / 2 + c.query_len[0];
    }
  }
  if (c.desc.window > 0 && check.random.chance(0.5)) c.desc.window = check.random.between(1, 5000);
  return c;
}

// Rows of token `token` of request 0 in two runs: where each run's part begins, and in which row of the
// batch.
void expect_same_row(const AttentionCase& c, const AttentionOutput& whole, int token,
                     const AttentionOutput& other, int other_row, const char* how, Comparison& found) {
  const auto heads = static_cast<std::size_t>(c.desc.num_qo_heads),
             cols = heads * static_cast<std::size_t>(c.desc.head_dim_vo);
  const auto a = static_cast<std::size_t>(token), b = static_cast<std::size_t>(other_row);
  const bool same = whole.o.same_bits(a * cols, cols, other.o, b * cols) &&
                    std::equal(whole.lse.begin() + static_cast<long>(a * heads),
                               whole.lse.begin() + static_cast<long>((a + 1) * heads),
                               other.lse.begin() + static_cast<long>(b * heads));
  found.expect(same, [&] { return fmt::format("token {} differs {}; {}", token, how, describe(c)); });
}

void check_attention_rows(CheckCase& check, Comparison& found) {
  const AttentionCase c = invariant_case(check);
  AttentionData data = make_attention_data(c, check.random);
  const PagedProblem problem(check.device, c, std::move(data), check.random);
  const auto op = choose_backend("unified", c.desc, check.device).backend->make(check.device, c.desc);
  const int query_len = c.query_len[0];
  const AttentionOutput whole = problem.run(*op, std::vector<Part>{{0, 0, query_len}}, found);
  // Among others, in the middle of the batch.
  const AttentionOutput mixed =
      problem.run(*op, std::vector<Part>{{2, 0, 1}, {0, 0, query_len}, {1, 0, c.query_len[1]}}, found);
  for (int token = 0; token < query_len; ++token)
    expect_same_row(c, whole, token, mixed, token + 1, "among others", found);
  // In two chunks.
  const int cut = check.random.between(1, query_len - 1);
  const AttentionOutput early = problem.run(*op, std::vector<Part>{{0, 0, cut}}, found);
  const AttentionOutput late =
      problem.run(*op, std::vector<Part>{{1, 0, c.query_len[1]}, {0, cut, query_len}}, found);
  for (int token = 0; token < query_len; ++token) {
    const bool is_early = token < cut;
    expect_same_row(c, whole, token, is_early ? early : late, is_early ? token : token - cut + c.query_len[1],
                    "in chunks", found);
  }
  // As decodes, alone and several at a time, and as a verification of a few tokens.
  for (const int token : {0, cut, query_len - 1}) {
    expect_same_row(c, whole, token, problem.run(*op, std::vector<Part>{{0, token, token + 1}}, found), 0,
                    "as a decode", found);
    const int begin = std::max(0, token - 3);
    const std::vector<Part> parts = {{2, 0, 1}, {0, begin, token + 1}, {0, 0, 1}};
    expect_same_row(c, whole, token, problem.run(*op, parts, found), 1 + token - begin, "in a verification",
                    found);
  }
}

void check_linear_rows(CheckCase& check, Comparison& found) {
  LinearCase c = make_linear_case(check.random, check.dtype, check.random.between(1, 130), check.size);
  c.batch_invariant = true;
  const LinearProblem problem(check.device, c, check.random);
  const HostArray all = problem.run(0, c.num_rows, found);
  const auto cols = static_cast<std::size_t>(c.out_dim);
  for (int i = 0; i < 6; ++i) {
    const int begin = check.random.between(0, c.num_rows - 1);
    const int end = check.random.chance(0.4) ? begin + 1 : check.random.between(begin + 1, c.num_rows);
    const HostArray part = problem.run(begin, end, found);
    for (int row = begin; row < end; ++row) {
      found.expect(all.same_bits(static_cast<std::size_t>(row) * cols, cols, part,
                                 static_cast<std::size_t>(row - begin) * cols),
                   [&] {
                     return fmt::format("row {} of {} differs when rows {} to {} are computed; {}", row,
                                        c.num_rows, begin, end, describe(c));
                   });
    }
  }
}

// FNV-1a.
void hash_bytes(std::uint64_t& hash, const void* p, std::size_t num_bytes) {
  for (std::size_t i = 0; i < num_bytes; ++i)
    hash = (hash ^ static_cast<const unsigned char*>(p)[i]) * 0x100000001b3ull;
}

}  // namespace

std::uint64_t invariant_bits(Device& device, std::uint64_t seed) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  Comparison found;
  for (const DType dtype : kAllDTypes) {
    for (int i = 0; i < 4; ++i) {
      CheckCase check{device, dtype, Random(seed + static_cast<std::uint64_t>(i)), i};
      const AttentionCase c = invariant_case(check);
      AttentionData data = make_attention_data(c, check.random);
      const PagedProblem problem(device, c, std::move(data), check.random);
      const auto op = choose_backend("unified", c.desc, device).backend->make(device, c.desc);
      const AttentionOutput output = problem.run(*op, problem.all_parts(), found);
      hash_bytes(hash, output.o.bytes().data(), output.o.bytes().size());
      hash_bytes(hash, output.lse.data(), output.lse.size() * sizeof(float));
      LinearCase linear = make_linear_case(check.random, dtype, check.random.between(1, 130));
      linear.batch_invariant = true;
      const HostArray y = LinearProblem(device, linear, check.random).run(0, linear.num_rows, found);
      hash_bytes(hash, y.bytes().data(), y.bytes().size());
    }
  }
  return found.passed() ? hash : 0;
}

std::vector<Check> invariance_checks() {
  return {
      {"attention", "same bits in any batch and chunk", 60, kAllDTypes, check_attention_rows},
      {"linear", "same bits for any number of rows", 80, kAllDTypes, check_linear_rows},
  };
}

}  // namespace quire
