#include "selftest/paged_problem.h"

#include <algorithm>
#include <cmath>

namespace quire {
namespace {

constexpr double kUnitVariance = 1.7320508;  // uniform numbers up to this have variance 1
constexpr std::int32_t kWildPage = 0x7fffffff;

}  // namespace

DType probs_dtype(const Device& device, DType dtype) {
  return device.attention().rounds_probs(dtype) ? dtype : DType::kF32;
}

AttentionData make_attention_data(const AttentionCase& c, Random& random) {
  const AttentionDesc& d = c.desc;
  AttentionData data;
  // With the usual scale, q and k of unit variance give scores of unit variance.
  const double q_amplitude = kUnitVariance * c.score_spread;
  for (std::size_t s = 0; s < c.query_len.size(); ++s) {
    data.requests.push_back(
        {random_array(random, d.dtype, num_elems(c.query_len[s], d.num_qo_heads, d.head_dim_qk), q_amplitude),
         random_array(random, d.dtype, num_elems(c.kv_len[s], d.num_kv_heads, d.head_dim_qk), kUnitVariance),
         random_array(random, d.dtype, num_elems(c.kv_len[s], d.num_kv_heads, d.head_dim_vo),
                      kUnitVariance)});
  }
  for (int h = 0; h < d.num_qo_heads; ++h) {
    if (d.position_bias != PositionBias::kNone) {
      data.slopes.push_back(static_cast<float>(c.slope_scale * std::exp2(-8.0 * (h + 1) / d.num_qo_heads)));
    }
    if (d.has_sinks) data.sinks.push_back(static_cast<float>(c.sink_level + random.uniform(-2, 2)));
  }
  return data;
}

PagedProblem::PagedProblem(Device& device, const AttentionCase& c, AttentionData data, Random& random)
    : device_(device), case_(c), data_(std::move(data)), layout_(kv_layout(device, c.desc)), table_{} {
  assign_pages(random);
  if (case_.uses_kv_write) {
    fill_by_kernel(random);
  } else {
    fill_by_maps();
  }
  if (!data_.slopes.empty()) slopes_ = std::make_unique<GuardedBuffer>(device, data_.slopes);
  if (!data_.sinks.empty()) sinks_ = std::make_unique<GuardedBuffer>(device, data_.sinks);
}

// Keys that at least one token of the request sees; only these are in the pool.
VisibleKeys PagedProblem::visible_to_any(std::size_t s) const {
  VisibleKeys all{0, 0};
  for (int token = 0; token < case_.query_len[s]; ++token) {
    const int position = case_.kv_len[s] - case_.query_len[s] + token;
    const VisibleKeys keys = reference_visible_keys(case_.desc, position, case_.kv_len[s]);
    if (keys.begin == keys.end) continue;
    all = all.begin == all.end ? keys
                               : VisibleKeys{std::min(all.begin, keys.begin), std::max(all.end, keys.end)};
  }
  return all;
}

// Scattered pages for all keys that any token sees. Page 0 stays poison; it, or a number outside the pool,
// stands where there is no page: to the left of every window (a freed page), and after the last one.
void PagedProblem::assign_pages(Random& random) {
  const int page_size = case_.desc.page_size;
  const std::size_t num_seqs = case_.kv_len.size();
  int longest = 0;
  for (const int len : case_.kv_len) longest = std::max(longest, (len + page_size - 1) / page_size);
  table_.max_pages = longest + case_.num_spare_pages;
  const std::int32_t no_page = case_.has_wild_pages ? kWildPage : 0;
  table_.entries.assign(num_elems(static_cast<int>(num_seqs), table_.max_pages), no_page);
  std::vector<std::int32_t*> wanted;
  for (std::size_t s = 0; s < num_seqs; ++s) {
    const VisibleKeys keys = visible_to_any(s);
    if (keys.begin == keys.end) continue;
    for (int page = keys.begin / page_size; page <= (keys.end - 1) / page_size; ++page) {
      wanted.push_back(
          &table_.entries[s * static_cast<std::size_t>(table_.max_pages) + static_cast<std::size_t>(page)]);
    }
  }
  num_pages_ = static_cast<int>(wanted.size()) + 2;
  std::vector<std::int32_t> free_pages;
  for (int page = 1; page < num_pages_; ++page) free_pages.push_back(page);
  random.shuffle(free_pages);
  for (std::size_t i = 0; i < wanted.size(); ++i) *wanted[i] = free_pages[i];
}

void PagedProblem::fill_by_maps() {
  const AttentionDesc& d = case_.desc;
  HostArray pool(d.dtype, static_cast<std::size_t>(num_pages_ * layout_.page_stride), kPoison);
  for (std::size_t s = 0; s < data_.requests.size(); ++s) {
    const RequestData& r = data_.requests[s];
    const VisibleKeys keys = visible_to_any(s);
    for (int key = keys.begin; key < keys.end; ++key) {
      const long page = table_.entries[s * static_cast<std::size_t>(table_.max_pages) +
                                       static_cast<std::size_t>(key / d.page_size)];
      const int token = key % d.page_size;
      for (int h = 0; h < d.num_kv_heads; ++h) {
        const std::size_t k_row = num_elems(key * d.num_kv_heads + h, d.head_dim_qk);
        const std::size_t v_row = num_elems(key * d.num_kv_heads + h, d.head_dim_vo);
        for (int i = 0; i < layout_.page->stored_k_dim(); ++i) {
          pool.set(static_cast<std::size_t>(layout_.k_index(page, h, token, i)),
                   i < d.head_dim_qk ? r.k[k_row + static_cast<std::size_t>(i)] : 0);
        }
        for (int i = 0; i < layout_.page->stored_v_dim(); ++i) {
          pool.set(static_cast<std::size_t>(layout_.v_index(page, h, token, i)),
                   i < d.head_dim_vo ? r.v[v_row + static_cast<std::size_t>(i)] : 0);
        }
      }
    }
  }
  pool_ = std::make_unique<GuardedBuffer>(device_, pool);
}

// All visible tokens of all requests in random order, among rows of poison whose slot is negative.
void PagedProblem::fill_by_kernel(Random& random) {
  const AttentionDesc& d = case_.desc;
  struct Token {
    std::size_t request;
    int key;  // -1: not to be written
  };
  std::vector<Token> tokens(3, Token{0, -1});
  for (std::size_t s = 0; s < data_.requests.size(); ++s) {
    const VisibleKeys keys = visible_to_any(s);
    for (int key = keys.begin; key < keys.end; ++key) tokens.push_back({s, key});
  }
  random.shuffle(tokens);
  const std::size_t k_cols = num_elems(d.num_kv_heads, d.head_dim_qk),
                    v_cols = num_elems(d.num_kv_heads, d.head_dim_vo);
  HostArray k(d.dtype, tokens.size() * k_cols, kPoison), v(d.dtype, tokens.size() * v_cols, kPoison);
  std::vector<std::int64_t> slots;
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    const auto [s, key] = tokens[t];
    slots.push_back(-1);
    if (key < 0) continue;
    const std::size_t entry =
        s * static_cast<std::size_t>(table_.max_pages) + static_cast<std::size_t>(key / d.page_size);
    slots.back() = std::int64_t{table_.entries[entry]} * d.page_size + key % d.page_size;
    const RequestData& r = data_.requests[s];
    for (std::size_t i = 0; i < k_cols; ++i)
      k.set(t * k_cols + i, r.k[static_cast<std::size_t>(key) * k_cols + i]);
    for (std::size_t i = 0; i < v_cols; ++i)
      v.set(t * v_cols + i, r.v[static_cast<std::size_t>(key) * v_cols + i]);
  }
  pool_ = std::make_unique<GuardedBuffer>(
      device_, static_cast<std::size_t>(num_pages_ * layout_.page_stride) * dtype_bytes(d.dtype));
  const GuardedBuffer device_k(device_, k), device_v(device_, v), device_slots(device_, slots);
  KvWriteTensors t;
  t.k = device_k.data();
  t.v = device_v.data();
  t.kv_pool = pool_->data();
  t.slot_mapping = device_slots.as<std::int64_t>();
  t.num_tokens = static_cast<int>(tokens.size());
  write_kv(device_, d, t);
  device_.synchronize();
}

std::vector<PagedProblem::Part> PagedProblem::all_parts() const {
  std::vector<Part> parts;
  for (std::size_t s = 0; s < case_.query_len.size(); ++s)
    parts.push_back({static_cast<int>(s), 0, case_.query_len[s]});
  return parts;
}

int PagedProblem::kv_len_of(const Part& part) const {
  const auto s = static_cast<std::size_t>(part.request);
  return case_.kv_len[s] - (case_.query_len[s] - part.token_end);
}

std::vector<std::int32_t> PagedProblem::table_of(std::span<const Part> parts) const {
  std::vector<std::int32_t> table;
  for (const Part& part : parts) {
    const auto row = table_.entries.begin() + long{part.request} * table_.max_pages;
    table.insert(table.end(), row, row + table_.max_pages);
  }
  return table;
}

AttentionOutput PagedProblem::run(AttentionOp& op, std::span<const Part> parts, Comparison& found) const {
  const AttentionDesc& d = case_.desc;
  const std::size_t q_cols = num_elems(d.num_qo_heads, d.head_dim_qk),
                    o_cols = num_elems(d.num_qo_heads, d.head_dim_vo);
  const std::size_t q_stride = q_cols + static_cast<std::size_t>(case_.q_gap);
  const std::size_t o_stride = o_cols + static_cast<std::size_t>(case_.o_gap);
  std::vector<std::int32_t> query_len, kv_len;
  HostArray q(d.dtype, 0);
  for (const Part& part : parts) {
    query_len.push_back(part.token_end - part.token_begin);
    kv_len.push_back(kv_len_of(part));
    const std::vector<std::byte>& from = data_.requests[static_cast<std::size_t>(part.request)].q.bytes();
    const long token_bytes = static_cast<long>(q_cols * dtype_bytes(d.dtype));
    q.bytes().insert(q.bytes().end(), from.begin() + part.token_begin * token_bytes,
                     from.begin() + part.token_end * token_bytes);
  }
  const std::size_t num_tokens = q.num_elems() / q_cols;
  const GuardedBuffer device_q(device_, spread_rows(q, q_cols, q_stride));
  const GuardedBuffer device_table(device_, table_of(parts));
  const GuardedBuffer device_o(device_, num_tokens * o_stride * dtype_bytes(d.dtype));
  const GuardedBuffer device_lse(device_, num_tokens * num_elems(d.num_qo_heads) * sizeof(float));
  AttentionTensors t;
  t.q = device_q.data();
  t.o = device_o.data();
  t.lse = case_.has_lse ? device_lse.as<float>() : nullptr;
  t.kv_pool = pool_->data();
  t.page_table = device_table.as<std::int32_t>();
  t.max_pages = table_.max_pages;
  t.alibi_slopes = slopes_ ? slopes_->as<float>() : nullptr;
  t.sinks = sinks_ ? sinks_->as<float>() : nullptr;
  t.q_token_stride = static_cast<long>(q_stride);
  t.o_token_stride = static_cast<long>(o_stride);
  op.plan({query_len, kv_len});
  op.run(t);
  device_.synchronize();
  const HostArray spread = device_o.download(d.dtype);
  found.expect(device_o.guards_intact() && device_lse.guards_intact() &&
                   gaps_intact(spread, num_tokens, o_cols, o_stride),
               [&] { return "memory around the output was written; " + describe(case_); });
  AttentionOutput output{gather_rows(spread, num_tokens, o_cols, o_stride), {}};
  if (case_.has_lse) {
    output.lse.resize(num_tokens * num_elems(d.num_qo_heads));
    device_lse.download(output.lse.data());
  }
  return output;
}

}  // namespace quire
