#include "attention_problem.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "attention/reference.h"

namespace quire {
namespace {

std::size_t size(std::int64_t a, std::int64_t b = 1, std::int64_t c = 1) {
  return static_cast<std::size_t>(a * b * c);
}

AttentionDesc desc_of_test(const AttentionSpec& spec) {
  AttentionDesc desc;
  desc.num_qo_heads = spec.num_qo_heads;
  desc.num_kv_heads = spec.num_kv_heads;
  desc.head_dim_qk = spec.head_dim_qk;
  desc.head_dim_vo = spec.head_dim_vo;
  desc.page_size = spec.page_size;
  desc.dtype = dtype_of_test(spec.type);
  desc.sm_scale = *spec.scale;
  desc.causal = spec.causal;
  desc.window = spec.window;
  desc.logits_soft_cap = spec.logits_soft_cap;
  desc.position_bias = spec.alibi == AlibiKind::kNone     ? PositionBias::kNone
                       : spec.alibi == AlibiKind::kLinear ? PositionBias::kAlibi
                                                          : PositionBias::kAlibiSqrt;
  desc.has_sinks = spec.has_sinks;
  return desc;
}

}  // namespace

DType dtype_of_test(ElementType type) {
  return type == ElementType::kF32 ? DType::kF32 : type == ElementType::kF16 ? DType::kF16 : DType::kBF16;
}

CallersMemory::CallersMemory(Device& allocator, const void* from, std::size_t bytes, std::size_t offset)
    : allocator_(allocator), offset_(offset), bytes_(bytes), buffer_(allocator.allocate(bytes + offset)) {
  allocator_.copy_to_device(data(), from, bytes);
  allocator_.synchronize();
}

HostArray CallersMemory::read(DType dtype) const {
  HostArray array(dtype, bytes_ / dtype_bytes(dtype));
  allocator_.copy_to_host(array.bytes().data(), data(), bytes_);
  return array;
}

AttentionProblem::AttentionProblem(const ComputeDevice& device, Device& allocator, const AttentionSpec& spec,
                                   Batch batch)
    : device_(device),
      allocator_(allocator),
      attention_(device, spec),
      spec_(attention_.spec()),
      dtype_(dtype_of_test(spec.type)),
      batch_(std::move(batch)) {
  Random random(7);
  for (std::size_t s = 0; s < batch_.kv_lens.size(); ++s) {
    first_key_.push_back(size(num_keys_));
    num_tokens_ += batch_.query_lens[s];
    num_keys_ += batch_.kv_lens[s];
  }
  q_ = random_array(random, dtype_, size(num_tokens_, spec_.num_qo_heads, spec_.head_dim_qk), 1.7);
  k_ = random_array(random, dtype_, size(num_keys_, spec_.num_kv_heads, spec_.head_dim_qk), 1.7);
  v_ = random_array(random, dtype_, size(num_keys_, spec_.num_kv_heads, spec_.head_dim_vo), 1.7);
  for (int h = 0; h < spec_.num_qo_heads; ++h) {
    slopes_.push_back(static_cast<float>(std::exp2(-2.0 * (h + 1) / spec_.num_qo_heads)));
    sinks_.push_back(static_cast<float>(random.uniform(0, 3)));
  }
  make_pages(random);
  compute_answer();
  const auto place = [&](const auto& values) {
    return std::make_unique<CallersMemory>(allocator_, values.data(), values.size() * sizeof(values[0]),
                                           sizeof(values[0]));
  };
  q_memory_ = std::make_unique<CallersMemory>(allocator_, q_);
  k_memory_ = std::make_unique<CallersMemory>(allocator_, k_);
  v_memory_ = std::make_unique<CallersMemory>(allocator_, v_);
  o_ = std::make_unique<CallersMemory>(
      allocator_, HostArray(dtype_, size(num_tokens_, spec_.num_qo_heads, spec_.head_dim_vo), kPoison));
  lse_ = std::make_unique<CallersMemory>(
      allocator_, HostArray(DType::kF32, size(num_tokens_, spec_.num_qo_heads), kPoison));
  const std::vector<std::byte> poison(size(num_pages_) * attention_.page_bytes(), kPoison);
  pool_ = std::make_unique<CallersMemory>(allocator_, poison.data(), poison.size(), 16);
  table_memory_ = place(table_);
  slots_memory_ = place(slots_);
  slopes_memory_ = place(slopes_);
  sinks_memory_ = place(sinks_);
}

void AttentionProblem::make_pages(Random& random) {
  std::vector<int> num_pages;
  for (const int len : batch_.kv_lens) num_pages.push_back((len + spec_.page_size - 1) / spec_.page_size);
  max_pages_ = *std::max_element(num_pages.begin(), num_pages.end()) + 1;
  num_pages_ = std::accumulate(num_pages.begin(), num_pages.end(), 0) + 1;  // page 0 is nobody's
  std::vector<std::int32_t> pages(size(num_pages_ - 1));
  std::iota(pages.begin(), pages.end(), 1);
  random.shuffle(pages);
  table_.assign(num_pages.size() * size(max_pages_), -1);
  auto next = pages.begin();
  for (std::size_t s = 0; s < num_pages.size(); ++s) {
    for (int i = 0; i < num_pages[s]; ++i) table_[s * size(max_pages_) + size(i)] = *next++;
  }
  for (std::size_t s = 0; s < num_pages.size(); ++s) {
    for (int key = 0; key < batch_.kv_lens[s]; ++key)
      slots_.push_back(page_of(static_cast<int>(s), key) * spec_.page_size + key % spec_.page_size);
  }
}

std::int64_t AttentionProblem::page_of(int request, int key) const {
  return table_[size(request) * size(max_pages_) + size(key / spec_.page_size)];
}

double AttentionProblem::k(int request, int key, int head, int dim) const {
  return k_[(key_row(request, key) * size(spec_.num_kv_heads) + size(head)) * size(spec_.head_dim_qk) +
            size(dim)];
}

void AttentionProblem::compute_answer() {
  const AttentionDesc desc = desc_of_test(spec_);
  std::size_t first_token = 0;
  for (std::size_t s = 0; s < batch_.kv_lens.size(); ++s) {
    ReferenceRequest r{batch_.query_lens[s], batch_.kv_lens[s], {}, {}, {}};
    const auto at = [](const HostArray& array, std::size_t row, int num_heads, int head, int head_dim,
                       int dim) {
      return array[(row * size(num_heads) + size(head)) * size(head_dim) + size(dim)];
    };
    r.q = [&](int token, int head, int d) {
      return at(q_, first_token + size(token), spec_.num_qo_heads, head, spec_.head_dim_qk, d);
    };
    r.k = [&](int key, int head, int d) { return k(static_cast<int>(s), key, head, d); };
    r.v = [&](int key, int head, int d) {
      return at(v_, key_row(static_cast<int>(s), key), spec_.num_kv_heads, head, spec_.head_dim_vo, d);
    };
    const ReferenceResult result = reference_attention(
        desc, r,
        spec_.alibi == AlibiKind::kNone ? std::vector<double>{}
                                        : std::vector<double>(slopes_.begin(), slopes_.end()),
        spec_.has_sinks ? std::vector<double>(sinks_.begin(), sinks_.end()) : std::vector<double>{});
    answer_.insert(answer_.end(), result.o.begin(), result.o.end());
    answer_lse_.insert(answer_lse_.end(), result.lse.begin(), result.lse.end());
    first_token += size(batch_.query_lens[s]);
  }
}

Tensor AttentionProblem::tensor(const CallersMemory& memory, ElementType type,
                                std::initializer_list<std::int64_t> shape) const {
  return contiguous_tensor(memory.data(), type, shape, device_.memory_kind(), device_.device_idx());
}

AttentionArgs AttentionProblem::args() const {
  AttentionArgs args;
  args.q = tensor(*q_memory_, spec_.type, {num_tokens_, spec_.num_qo_heads, spec_.head_dim_qk});
  args.o = tensor(*o_, spec_.type, {num_tokens_, spec_.num_qo_heads, spec_.head_dim_vo});
  args.lse = tensor(*lse_, ElementType::kF32, {num_tokens_, spec_.num_qo_heads});
  args.kv_pool = tensor(*pool_, spec_.type, {num_pages_, attention_.page_elems()});
  args.page_table = tensor(*table_memory_, ElementType::kI32,
                           {static_cast<std::int64_t>(batch_.kv_lens.size()), max_pages_});
  if (spec_.alibi != AlibiKind::kNone)
    args.alibi_slopes = tensor(*slopes_memory_, ElementType::kF32, {spec_.num_qo_heads});
  if (spec_.has_sinks) args.sinks = tensor(*sinks_memory_, ElementType::kF32, {spec_.num_qo_heads});
  return args;
}

KvWriteArgs AttentionProblem::write_args() const {
  KvWriteArgs args;
  args.k = tensor(*k_memory_, spec_.type, {num_keys_, spec_.num_kv_heads, spec_.head_dim_qk});
  args.v = tensor(*v_memory_, spec_.type, {num_keys_, spec_.num_kv_heads, spec_.head_dim_vo});
  args.kv_pool = tensor(*pool_, spec_.type, {num_pages_, attention_.page_elems()});
  args.slots = tensor(*slots_memory_, ElementType::kI64, {num_keys_});
  return args;
}

void AttentionProblem::write() {
  attention_.write_kv(write_args());
  device_.synchronize();
}

void AttentionProblem::run(const AttentionArgs& args) {
  attention_.plan(batch_.query_lens, batch_.kv_lens);
  attention_.run(args);
  device_.synchronize();
}

double AttentionProblem::error_of_o() const {
  const HostArray found = o();
  double worst = 0;
  for (std::size_t i = 0; i < answer_.size(); ++i) {
    const double error = std::abs(found[i] - answer_[i]);
    if (std::isnan(error)) return error;
    worst = std::max(worst, error);
  }
  return worst;
}

double AttentionProblem::error_of_lse() const {
  const HostArray found = lse_->read(DType::kF32);
  double worst = 0;
  for (std::size_t i = 0; i < answer_lse_.size(); ++i) {
    if (found[i] == answer_lse_[i]) continue;  // -inf
    const double error = std::abs(found[i] - answer_lse_[i]);
    if (std::isnan(error)) return error;
    worst = std::max(worst, error);
  }
  return worst;
}

}  // namespace quire
