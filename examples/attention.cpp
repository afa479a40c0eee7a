// Attention of one mixed batch, a decode and a prompt, over paged keys and values in memory of our own. What
// comes out is compared with a plain loop in double precision.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <vector>

#include "quire/attention.h"

int main() try {
  const quire::ComputeDevice device = quire::ComputeDevice::open();  // the CPU
  quire::AttentionSpec spec;
  spec.num_qo_heads = 8;
  spec.num_kv_heads = 2;
  spec.head_dim_qk = 64;
  spec.type = quire::ElementType::kF32;
  quire::Attention attention(device, spec);
  std::cout << device.description() << "; " << attention.choice().reasons.back() << '\n';

  // Request 0 adds 1 token to 39, in pages 4, 1 and 2. Request 1 is a prompt of 6 tokens, in page 0.
  const std::vector<std::int32_t> query_lens{1, 6}, kv_lens{40, 6}, page_table{4, 1, 2, 0, -1, -1};
  std::vector<std::int64_t> slots;  // of all 46 tokens: page * page_size + place in the page
  for (int s = 0; s < 2; ++s)
    for (int i = 0; i < kv_lens[s]; ++i) slots.push_back(page_table[3 * s + i / 16] * 16 + i % 16);
  std::vector<float> q(7 * 8 * 64), k(46 * 2 * 64), v(k.size()), o(q.size());
  for (std::size_t i = 0; i < q.size(); ++i) q[i] = static_cast<float>(std::sin(0.37 * double(i)));
  for (std::size_t i = 0; i < k.size(); ++i) {
    k[i] = static_cast<float>(std::sin(0.11 * double(i * i % 997)));
    v[i] = static_cast<float>(std::cos(0.23 * double(i)));
  }
  std::vector<float> kv_pool(5 * attention.page_elems());

  const auto f32 = [](std::vector<float>& x, std::initializer_list<std::int64_t> shape) {
    return quire::contiguous_tensor(x.data(), quire::ElementType::kF32, shape);
  };
  const quire::Tensor pool = f32(kv_pool, {5, attention.page_elems()});
  attention.write_kv({.k = f32(k, {46, 2, 64}),
                      .v = f32(v, {46, 2, 64}),
                      .kv_pool = pool,
                      .slots = quire::contiguous_tensor(slots.data(), quire::ElementType::kI64, {46})});
  attention.plan(query_lens, kv_lens);
  attention.run(
      {.q = f32(q, {7, 8, 64}),
       .o = f32(o, {7, 8, 64}),
       .kv_pool = pool,
       .page_table = quire::contiguous_tensor(page_table.data(), quire::ElementType::kI32, {2, 3})});

  double worst = 0;
  for (int row = 0; row < 7 * 8; ++row) {  // query token row / 8, head row % 8
    const int token = row / 8, kv_head = row % 8 / 4, first_key = token == 0 ? 0 : 40;
    const int num_keys = token == 0 ? 40 : token;  // a query sees the keys up to its own
    std::vector<double> sum(64);
    double total = 0;
    for (int key = first_key; key < first_key + num_keys; ++key) {
      double score = 0;
      for (int d = 0; d < 64; ++d) score += double(q[row * 64 + d]) * k[(key * 2 + kv_head) * 64 + d];
      const double weight = std::exp(score / 8);  // 1 / sqrt(64)
      for (int d = 0; d < 64; ++d) sum[d] += weight * v[(key * 2 + kv_head) * 64 + d];
      total += weight;
    }
    for (int d = 0; d < 64; ++d) worst = std::max(worst, std::abs(sum[d] / total - o[row * 64 + d]));
  }
  std::cout << "largest error of 7 tokens: " << worst << '\n';
  return worst < 1e-5 ? 0 : 1;
} catch (const quire::Error& e) {
  std::cerr << quire::to_string(e.kind()) << ": " << e.what() << '\n';
  return 1;
}
