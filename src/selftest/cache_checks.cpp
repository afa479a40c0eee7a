// The two kernels around attention: writing keys and values into pages, and merging partial states.
#include <algorithm>
#include <cmath>
#include <limits>

#include "attention/attention.h"
#include "selftest/arrays.h"
#include "selftest/check.h"

namespace quire {
namespace {

struct WriteCase {
  AttentionDesc desc;
  int num_pages;
  std::vector<std::int64_t> slots;  // [num_tokens]
  HostArray k, v;                   // [num_tokens, num_kv_heads, head_dim]

  std::size_t k_cols() const { return static_cast<std::size_t>(desc.num_kv_heads * desc.head_dim_qk); }
  std::size_t v_cols() const { return static_cast<std::size_t>(desc.num_kv_heads * desc.head_dim_vo); }
};

std::string describe(const WriteCase& c) {
  return fmt::format("page {}, {} KV heads, head sizes {}/{}, {} tokens", c.desc.page_size,
                     c.desc.num_kv_heads, c.desc.head_dim_qk, c.desc.head_dim_vo, c.slots.size());
}

// Distinct slots in random order, some of them negative.
WriteCase make_write_case(DType dtype, Random& random) {
  WriteCase c{};
  AttentionDesc& d = c.desc;
  d.dtype = dtype;
  d.num_kv_heads = d.num_qo_heads = random.between(1, 4);
  d.head_dim_qk = random.chance(0.5) ? random.pick({8, 64, 80, 128}) : random.between(1, kMaxHeadShape.qk);
  const int other = random.between(1, kMaxHeadShape.vo);
  d.head_dim_vo = random.chance(0.7) ? std::min(d.head_dim_qk, kMaxHeadShape.vo) : other;
  d.page_size = random.pick({1, 2, 3, 5, 8, 16, 20, 32, 48, 64, 128, 528});
  d.sm_scale = 1;
  c.num_pages = random.between(1, std::max(2, 200 / d.page_size));
  for (int slot = 0; slot < c.num_pages * d.page_size; ++slot) c.slots.push_back(slot);
  random.shuffle(c.slots);
  c.slots.resize(static_cast<std::size_t>(random.between(1, static_cast<int>(c.slots.size()))));
  for (std::int64_t& slot : c.slots) {
    if (random.chance(0.2)) slot = random.pick({-1, -1, -d.page_size, -1000000});
  }
  c.k = random_array(random, dtype, c.slots.size() * c.k_cols(), 10);
  c.v = random_array(random, dtype, c.slots.size() * c.v_cols(), 10);
  return c;
}

// The same on the host, element by element through the index maps.
void write_by_maps(const WriteCase& c, const KvLayout& layout, HostArray& pool) {
  const AttentionDesc& d = c.desc;
  for (std::size_t token = 0; token < c.slots.size(); ++token) {
    if (c.slots[token] < 0) continue;
    const long page = c.slots[token] / d.page_size;
    const int offset = static_cast<int>(c.slots[token] % d.page_size);
    for (int h = 0; h < d.num_kv_heads; ++h) {
      for (int i = 0; i < layout.page->stored_k_dim(); ++i) {
        const std::size_t from = token * c.k_cols() + static_cast<std::size_t>(h * d.head_dim_qk + i);
        pool.set(static_cast<std::size_t>(layout.k_index(page, h, offset, i)), i < d.head_dim_qk ? c.k[from] : 0);
      }
      for (int i = 0; i < layout.page->stored_v_dim(); ++i) {
        const std::size_t from = token * c.v_cols() + static_cast<std::size_t>(h * d.head_dim_vo + i);
        pool.set(static_cast<std::size_t>(layout.v_index(page, h, offset, i)), i < d.head_dim_vo ? c.v[from] : 0);
      }
    }
  }
}

// The rotation of the keys where they are, and the write by the same launch. That it rotates right is check_rope's business.
void rotate_and_write(CheckCase& check, const WriteCase& c, const KvWriteTensors& t) {
  const auto num_tokens = c.slots.size();
  const std::vector<std::int32_t> positions(num_tokens, 1);
  std::vector<float> cos_sin(static_cast<std::size_t>(2 * c.desc.head_dim_qk));
  for (float& x : cos_sin) x = static_cast<float>(check.random.uniform(-1, 1));
  const GuardedBuffer device_positions(check.device, positions), device_table(check.device, cos_sin);
  RopeParams p{};
  p.x = const_cast<void*>(t.k);
  p.positions = device_positions.as<int>();
  p.cos_sin = device_table.as<float>();
  p.token_stride = t.k_token_stride;
  p.num_tokens = t.num_tokens;
  p.num_heads = c.desc.num_kv_heads;
  p.head_dim = c.desc.head_dim_qk;
  p.kv = kv_write_params(kv_layout(check.device, c.desc), c.desc, t);
  check.device.run(RowVariant{KernelName::kRope, check.dtype}, p, p.num_tokens);
  check.device.synchronize();
}

// A pool of random bytes before; afterwards exactly the written elements differ, bit for bit.
void check_kv_write(CheckCase& check, Comparison& found) {
  Random& random = check.random;
  WriteCase c = make_write_case(check.dtype, random);
  const KvLayout layout = kv_layout(check.device, c.desc);
  HostArray pool(check.dtype, static_cast<std::size_t>(c.num_pages * layout.page_stride));
  for (std::byte& b : pool.bytes()) b = static_cast<std::byte>(random.bits());
  const std::size_t k_stride = c.k_cols() + static_cast<std::size_t>(random.between(0, 30));
  const std::size_t v_stride = c.v_cols() + static_cast<std::size_t>(random.between(0, 30));
  const GuardedBuffer device_k(check.device, spread_rows(c.k, c.k_cols(), k_stride));
  const GuardedBuffer device_v(check.device, spread_rows(c.v, c.v_cols(), v_stride));
  const GuardedBuffer device_pool(check.device, pool), device_slots(check.device, c.slots);
  KvWriteTensors t;
  t.k = device_k.data();
  t.v = device_v.data();
  t.kv_pool = device_pool.data();
  t.slot_mapping = device_slots.as<std::int64_t>();
  t.k_token_stride = static_cast<long>(k_stride);
  t.v_token_stride = static_cast<long>(v_stride);
  t.num_tokens = static_cast<int>(c.slots.size());
  if (c.desc.head_dim_qk % 2 == 0 && random.chance(0.4)) {
    rotate_and_write(check, c, t);
    c.k = gather_rows(device_k.download(check.dtype), c.slots.size(), c.k_cols(), k_stride);
  } else {
    write_kv(check.device, c.desc, t);
    check.device.synchronize();
  }
  write_by_maps(c, layout, pool);
  found.expect(device_pool.download(check.dtype).bytes() == pool.bytes(), [&] { return describe(c); });
  found.expect(device_pool.guards_intact(),
               [&] { return "memory around the pool was written; " + describe(c); });
}

struct MergeInput {
  HostArray o;             // [num_rows, dim]
  std::vector<float> lse;  // [num_rows]
};

// An empty side has lse -inf (or +inf, from a foreign kernel) and any o: here NaN.
MergeInput random_state(Random& random, DType dtype, int num_rows, int dim) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  MergeInput in{random_array(random, dtype, static_cast<std::size_t>(num_rows * dim), 2), {}};
  for (int r = 0; r < num_rows; ++r) {
    const bool empty = random.chance(0.25);
    const double level = random.pick({0.0, 0.0, 5.0, 50.0, 1e4, -1e4});
    in.lse.push_back(empty ? random.pick({-kInf, -kInf, kInf})
                           : static_cast<float>(level + random.uniform(-3, 3)));
    for (int i = 0; empty && i < dim; ++i) in.o.set(static_cast<std::size_t>(r * dim + i), std::nan(""));
  }
  return in;
}

void compare_merge(const MergeInput& a, const MergeInput& b, const HostArray& o,
                   const std::vector<float>& lse, Comparison& found) {
  const std::size_t dim = o.num_elems() / lse.size();
  for (std::size_t r = 0; r < lse.size(); ++r) {
    const bool has_a = std::isfinite(a.lse[r]), has_b = std::isfinite(b.lse[r]);
    const double x = has_a ? a.lse[r] : -INFINITY, y = has_b ? b.lse[r] : -INFINITY;
    const double most = std::max(x, y);
    const double wa = has_a ? std::exp(x - most) : 0, wb = has_b ? std::exp(y - most) : 0;
    const double want_lse = has_a || has_b ? most + std::log(wa + wb) : -INFINITY;
    const auto where = [&] { return fmt::format("row {}, LSE {} and {}", r, a.lse[r], b.lse[r]); };
    // f32 holds an LSE of size L to 2^-24 L, and so do the exponents of the weights.
    const double score_error = has_a || has_b ? 0x1p-22 * (2 + std::fabs(most)) : 0;
    found.expect_near(lse[r], want_lse, score_error, where);
    for (std::size_t i = 0; i < dim; ++i) {
      const double oa = has_a ? a.o[r * dim + i] : 0, ob = has_b ? b.o[r * dim + i] : 0;
      const double want = has_a || has_b ? (wa * oa + wb * ob) / (wa + wb) : 0;
      const double bound =
          has_a && has_b ? 1.1 * rounding_unit(o.dtype()) * std::fabs(want) + 2 * score_error : 0;
      found.expect_near(o[r * dim + i], want, bound, where);  // a single side is passed on exactly
    }
  }
}

void check_merge_state(CheckCase& check, Comparison& found) {
  Random& random = check.random;
  const int num_rows = random.between(1, 60);
  const int dim = random.chance(0.5) ? random.pick({64, 128}) : random.between(1, 256);
  const MergeInput a = random_state(random, check.dtype, num_rows, dim);
  const MergeInput b = random_state(random, check.dtype, num_rows, dim);
  const GuardedBuffer o_a(check.device, a.o), o_b(check.device, b.o), lse_a(check.device, a.lse),
      lse_b(check.device, b.lse);
  const GuardedBuffer o(check.device, a.o.bytes().size()), lse(check.device, a.lse.size() * sizeof(float));
  // Into memory of its own, or over one of the inputs.
  const int over = random.between(0, 2);
  const GuardedBuffer& to = over == 0 ? o : over == 1 ? o_a : o_b;
  const GuardedBuffer& to_lse = over == 0 ? lse : over == 1 ? lse_a : lse_b;
  MergeStateParams p{};
  p.o_a = o_a.data();
  p.o_b = o_b.data();
  p.lse_a = lse_a.as<float>();
  p.lse_b = lse_b.as<float>();
  p.o = to.data();
  p.lse = to_lse.as<float>();
  p.num_rows = num_rows;
  p.head_dim = dim;
  check.device.run(RowVariant{KernelName::kMergeState, check.dtype}, p, num_rows);
  check.device.synchronize();
  std::vector<float> got_lse(a.lse.size());
  to_lse.download(got_lse.data());
  compare_merge(a, b, to.download(check.dtype), got_lse, found);
  found.expect(to.guards_intact() && to_lse.guards_intact(),
               [] { return "memory around the output was written"; });
}

}  // namespace

std::vector<Check> kv_write_checks() {
  return {{"kv_write", "slots, strides, bits of the pool", 150, kAllDTypes, check_kv_write}};
}
std::vector<Check> merge_state_checks() {
  return {{"merge_state", "empty sides, far apart, in place", 150, kAllDTypes, check_merge_state}};
}

}  // namespace quire
