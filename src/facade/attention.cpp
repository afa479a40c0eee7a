#include "attention/attention.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "facade/compute_device.h"
#include "facade/tensor_checks.h"
#include "tile/ranges.h"

namespace quire {
namespace {

constexpr std::size_t kPoolAlignment = 16;  // bytes that a GPU copies at a time

DType dtype_of(ElementType type) {
  switch (type) {
    case ElementType::kF32:
      return DType::kF32;
    case ElementType::kF16:
      return DType::kF16;
    case ElementType::kBF16:
      return DType::kBF16;
    case ElementType::kI32:
    case ElementType::kI64:
      break;
  }
  throw_error(ErrorKind::kInvalidArgument, "the type of attention must be f32, f16 or bf16, got {} ({})",
              to_string(type), static_cast<int>(type));
}

PositionBias bias_of(AlibiKind kind) {
  switch (kind) {
    case AlibiKind::kNone:
      return PositionBias::kNone;
    case AlibiKind::kLinear:
      return PositionBias::kAlibi;
    case AlibiKind::kSquareRoot:
      return PositionBias::kAlibiSqrt;
  }
  throw_error(ErrorKind::kInvalidArgument, "there is no ALiBi of kind {}", static_cast<int>(kind));
}

AttentionDesc desc_of(const AttentionSpec& spec) {
  AttentionDesc desc;
  desc.num_qo_heads = spec.num_qo_heads;
  desc.num_kv_heads = spec.num_kv_heads;
  desc.head_dim_qk = spec.head_dim_qk;
  desc.head_dim_vo = spec.head_dim_vo;
  desc.page_size = spec.page_size;
  desc.dtype = dtype_of(spec.type);
  desc.sm_scale = spec.scale.value_or(0);
  desc.causal = spec.causal;
  desc.window = spec.window;
  desc.logits_soft_cap = spec.logits_soft_cap;
  desc.position_bias = bias_of(spec.alibi);
  desc.has_sinks = spec.has_sinks;
  desc.batch_invariant = spec.batch_invariant;
  check_desc(desc);
  return desc;
}

// What the caller left to us filled in.
AttentionSpec completed(AttentionSpec spec) {
  if (spec.head_dim_vo == 0) spec.head_dim_vo = spec.head_dim_qk;
  if (!spec.scale && spec.head_dim_qk > 0) spec.scale = default_sm_scale(spec.head_dim_qk);
  return spec;
}

AttentionChoice choice_of(const BackendChoice& choice) { return {choice.backend->name(), choice.reasons}; }

// What the plan says of one request: the entries of its row of the page table that are read.
struct PageRange {
  int begin, end;
};

struct PlannedBatch {
  std::int64_t num_tokens = 0;
  int most_pages = 0;            // entries of a row of the page table
  std::vector<PageRange> pages;  // [num_seqs]
};

PlannedBatch planned_batch(const AttentionDesc& desc, const AttentionLengths& lengths) {
  PlannedBatch batch;
  const Visibility sees = visibility_of(desc);
  for (std::size_t s = 0; s < lengths.query_len.size(); ++s) {
    const int query_len = lengths.query_len[s], kv_len = lengths.kv_len[s];
    QUIRE_CHECK(kv_len <= kMaxContext, "request {}: kv_len {} is more than {}", s, kv_len, kMaxContext);
    KeyRange keys{0, 0};
    if (query_len > 0) keys = sees.of_rows(kv_len - query_len, kv_len - 1, kv_len);
    const bool is_empty = keys.begin >= keys.end;
    batch.pages.push_back(is_empty
                              ? PageRange{0, 0}
                              : PageRange{keys.begin / desc.page_size, ceil_div(keys.end, desc.page_size)});
    batch.most_pages = std::max(batch.most_pages, batch.pages.back().end);
    batch.num_tokens += query_len;
  }
  return batch;
}

// Where the host can read them: a page that is not there would be read from memory that is not the pool's.
void check_pages(const Tensor& table, const PlannedBatch& batch, std::int64_t num_pages) {
  const auto* row = static_cast<const std::int32_t*>(table.data);
  for (std::size_t s = 0; s < batch.pages.size(); ++s, row += row_stride(table)) {
    for (int i = batch.pages[s].begin; i < batch.pages[s].end; ++i) {
      QUIRE_CHECK(row[i] >= 0 && row[i] < num_pages,
                  "page_table: request {} has page {} at entry {}, the pool has pages 0 to {}", s, row[i], i,
                  num_pages - 1);
    }
  }
}

void check_slots(const Tensor& slots, std::int64_t num_slots) {
  const auto* values = static_cast<const std::int64_t*>(slots.data);
  for (std::int64_t i = 0; i < slots.shape[0]; ++i) {
    QUIRE_CHECK(values[i] < num_slots, "slots: token {} has slot {}, the pool has {}", i, values[i],
                num_slots);
  }
}

}  // namespace

AttentionChoice choose_attention(const ComputeDevice& device, const AttentionSpec& spec,
                                 const std::string& backend) {
  return choice_of(choose_backend(backend, desc_of(completed(spec)), *device.impl().device));
}

struct Attention::Impl {
  Impl(const ComputeDevice& device_of_caller, const AttentionSpec& given, const std::string& name)
      : owner(device_of_caller),
        device(*owner.impl().device),
        spec(completed(given)),
        desc(desc_of(spec)),
        layout(kv_layout(device, desc)) {
    const BackendChoice chosen = choose_backend(name, desc, device);
    choice = choice_of(chosen);
    op = chosen.backend->make(device, desc);
  }

  std::int64_t page_elems() const { return layout.page_stride; }
  void check(const Tensor& tensor, const TensorRule& rule) const { check_tensor(tensor, rule, owner.impl()); }
  void check_pool(const Tensor& pool) const {
    check(pool, {"kv_pool",
                 spec.type,
                 {{"num_pages", 1, true}, {"page_elems", page_elems()}},
                 Rows::kTogether,
                 kPoolAlignment});
  }

  // One number a query head, if the spec asks for it.
  const float* per_head(const char* name, const Tensor& tensor, bool is_wanted) const {
    QUIRE_CHECK(is_wanted || !tensor.is_given(), "{} is given, but the spec asks for none: {}", name,
                to_string(tensor));
    if (!is_wanted) return nullptr;
    check(tensor, {name, ElementType::kF32, {{"num_qo_heads", spec.num_qo_heads}}});
    return static_cast<const float*>(tensor.data);
  }

  AttentionTensors checked(const AttentionArgs& args) const {
    QUIRE_CHECK(is_planned, "run() comes after plan(), which has not been called");
    const Extent tokens{"num_tokens", batch.num_tokens, true}, heads{"num_qo_heads", spec.num_qo_heads};
    check(args.q, {"q", spec.type, {tokens, heads, {"head_dim_qk", spec.head_dim_qk}}, Rows::kMayLieApart});
    check(args.o, {"o", spec.type, {tokens, heads, {"head_dim_vo", spec.head_dim_vo}}, Rows::kMayLieApart});
    if (args.lse.is_given()) check(args.lse, {"lse", ElementType::kF32, {tokens, heads}});
    check_pool(args.kv_pool);
    check(args.page_table, {"page_table",
                            ElementType::kI32,
                            {{"num_seqs", static_cast<std::int64_t>(batch.pages.size()), true},
                             {"max_pages", batch.most_pages, true}},
                            Rows::kMayLieApart});
    QUIRE_CHECK(row_stride(args.page_table) <= std::numeric_limits<int>::max(),
                "page_table: rows may be {} entries apart at most, got {}", std::numeric_limits<int>::max(),
                to_string(args.page_table));
    if (owner.impl().is_host) check_pages(args.page_table, batch, args.kv_pool.shape[0]);
    AttentionTensors t;
    t.q = args.q.data;
    t.o = args.o.data;
    t.lse = static_cast<float*>(args.lse.data);
    t.kv_pool = args.kv_pool.data;
    t.page_table = static_cast<const std::int32_t*>(args.page_table.data);
    t.max_pages = static_cast<int>(row_stride(args.page_table));
    t.alibi_slopes = per_head("alibi_slopes", args.alibi_slopes, spec.alibi != AlibiKind::kNone);
    t.sinks = per_head("sinks", args.sinks, spec.has_sinks);
    t.q_token_stride = row_stride(args.q);
    t.o_token_stride = row_stride(args.o);
    return t;
  }

  KvWriteTensors checked(const KvWriteArgs& args) const {
    constexpr int kMaxTokens = std::numeric_limits<int>::max();
    const std::int64_t num_tokens = args.slots.shape[0];
    check(args.slots, {"slots", ElementType::kI64, {{"num_tokens", 0, true}}});
    QUIRE_CHECK(num_tokens <= kMaxTokens, "slots: at most {} tokens, got {}", kMaxTokens, num_tokens);
    const Extent tokens{"num_tokens", num_tokens}, heads{"num_kv_heads", spec.num_kv_heads};
    check(args.k, {"k", spec.type, {tokens, heads, {"head_dim_qk", spec.head_dim_qk}}, Rows::kMayLieApart});
    check(args.v, {"v", spec.type, {tokens, heads, {"head_dim_vo", spec.head_dim_vo}}, Rows::kMayLieApart});
    check_pool(args.kv_pool);
    if (owner.impl().is_host) check_slots(args.slots, args.kv_pool.shape[0] * spec.page_size);
    KvWriteTensors t;
    t.k = args.k.data;
    t.v = args.v.data;
    t.kv_pool = args.kv_pool.data;
    t.slot_mapping = static_cast<const std::int64_t*>(args.slots.data);
    t.k_token_stride = row_stride(args.k);
    t.v_token_stride = row_stride(args.v);
    t.num_tokens = static_cast<int>(num_tokens);
    return t;
  }

  const ComputeDevice owner;  // keeps the device alive
  Device& device;
  const AttentionSpec spec;
  const AttentionDesc desc;
  const KvLayout layout;
  AttentionChoice choice;
  std::unique_ptr<AttentionOp> op;
  bool is_planned = false;
  PlannedBatch batch;
};

Attention::Attention(const ComputeDevice& device, const AttentionSpec& spec, const std::string& backend)
    : impl_(std::make_unique<Impl>(device, spec, backend)) {}
Attention::Attention(Attention&&) noexcept = default;
Attention& Attention::operator=(Attention&&) noexcept = default;
Attention::~Attention() = default;

const AttentionSpec& Attention::spec() const { return impl_->spec; }
const AttentionChoice& Attention::choice() const { return impl_->choice; }
std::size_t Attention::page_bytes() const { return impl_->layout.page_bytes; }
std::int64_t Attention::page_elems() const { return impl_->page_elems(); }

std::int64_t Attention::k_index(std::int64_t page, int kv_head, int token, int dim) const {
  return impl_->layout.k_index(page, kv_head, token, dim);
}

std::int64_t Attention::v_index(std::int64_t page, int kv_head, int token, int dim) const {
  return impl_->layout.v_index(page, kv_head, token, dim);
}

void Attention::write_kv(const KvWriteArgs& args) {
  quire::write_kv(impl_->device, impl_->desc, impl_->checked(args));
}

void Attention::plan(std::span<const std::int32_t> query_lens, std::span<const std::int32_t> kv_lens) {
  impl_->is_planned = false;
  impl_->op->plan({query_lens, kv_lens});
  impl_->batch = planned_batch(impl_->desc, {query_lens, kv_lens});
  impl_->is_planned = true;
}

void Attention::run(const AttentionArgs& args) { impl_->op->run(impl_->checked(args)); }

void Attention::prepare(const AttentionArgs& args) {
  const AttentionTensors tensors = impl_->checked(args);
  if (impl_->op->recording_id() == 0) return;  // it launches nothing that could be compiled
  impl_->device.prepare([&] {
    impl_->op->run(tensors);
    KvWriteTensors one_token;
    one_token.num_tokens = 1;
    quire::write_kv(impl_->device, impl_->desc, one_token);
  });
}

void Attention::reserve(int num_seqs) {
  QUIRE_CHECK(num_seqs >= 0, "reserve() takes a number of requests, got {}", num_seqs);
  impl_->op->reserve(num_seqs);
}

std::uint64_t Attention::recording_id() const { return impl_->op->recording_id(); }

AttentionCost Attention::cost() const {
  const LaunchCost cost = impl_->op->cost();
  return {cost.bytes, cost.flops};
}

}  // namespace quire
