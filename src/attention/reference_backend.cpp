// The reference backend: the float64 oracle as an AttentionOp. It is slow, and it is for devices whose memory
// the host can read. Unlike that of other backends its run() allocates, and returns when the result is there.
#include <cmath>

#include "attention/backends.h"
#include "attention/reference.h"
#include "base/check.h"

namespace quire {
namespace {

double read(const void* p, DType dtype, long i) {
  switch (dtype) {
    case DType::kF32:
      return static_cast<const float*>(p)[i];
    case DType::kF16:
      return f16_to_f32(static_cast<const std::uint16_t*>(p)[i]);
    case DType::kBF16:
      return bf16_to_f32(static_cast<const std::uint16_t*>(p)[i]);
  }
  return 0;
}

void write(void* p, DType dtype, long i, double value) {
  const float x = static_cast<float>(value);
  switch (dtype) {
    case DType::kF32:
      static_cast<float*>(p)[i] = x;
      break;
    case DType::kF16:
      static_cast<std::uint16_t*>(p)[i] = f32_to_f16(x);
      break;
    case DType::kBF16:
      static_cast<std::uint16_t*>(p)[i] = f32_to_bf16(x);
      break;
  }
}

class ReferenceOp : public AttentionOp {
 public:
  ReferenceOp(Device& device, const AttentionDesc& desc)
      : device_(device), desc_(desc), layout_(kv_layout(device, desc)) {}

  const char* backend() const override { return "reference"; }

  void plan(const AttentionLengths& lengths) override {
    QUIRE_CHECK(lengths.query_len.size() == lengths.kv_len.size(), "{} query lengths but {} kv lengths",
                lengths.query_len.size(), lengths.kv_len.size());
    for (std::size_t s = 0; s < lengths.query_len.size(); ++s) {
      const int query_len = lengths.query_len[s], kv_len = lengths.kv_len[s];
      QUIRE_CHECK(query_len >= 0 && kv_len >= 0 && (!desc_.causal || kv_len >= query_len),
                  "request {}: query_len {} with kv_len {}", s, query_len, kv_len);
    }
    query_len_.assign(lengths.query_len.begin(), lengths.query_len.end());
    kv_len_.assign(lengths.kv_len.begin(), lengths.kv_len.end());
  }

  void reserve(int) override {}
  std::uint64_t recording_id() const override { return 0; }
  LaunchCost cost() const override { return {}; }

  void run(const AttentionTensors& t) override {
    QUIRE_CHECK(desc_.position_bias == PositionBias::kNone || t.alibi_slopes != nullptr,
                "ALiBi needs alibi_slopes");
    QUIRE_CHECK(!desc_.has_sinks || t.sinks != nullptr, "the desc has sinks, but no sinks were given");
    device_.synchronize();
    int token_begin = 0;
    for (std::size_t s = 0; s < query_len_.size(); ++s) {
      run_request(t, s, token_begin);
      token_begin += query_len_[s];
    }
  }

 private:
  void run_request(const AttentionTensors& t, std::size_t seq_idx, int token_begin) const {
    const int num_heads = desc_.num_qo_heads, dim_qk = desc_.head_dim_qk, dim_vo = desc_.head_dim_vo;
    const long q_stride = t.q_token_stride != 0 ? t.q_token_stride : long{num_heads} * dim_qk;
    const long o_stride = t.o_token_stride != 0 ? t.o_token_stride : long{num_heads} * dim_vo;
    const std::int32_t* pages = t.page_table + static_cast<long>(seq_idx) * t.max_pages;
    const int page_size = desc_.page_size;
    ReferenceRequest r{query_len_[seq_idx], kv_len_[seq_idx], {}, {}, {}};
    r.q = [&](int token, int head, int d) {
      return read(t.q, desc_.dtype, (token_begin + token) * q_stride + long{head} * dim_qk + d);
    };
    r.k = [&](int key, int head, int d) {
      return read(t.kv_pool, desc_.dtype, layout_.k_index(pages[key / page_size], head, key % page_size, d));
    };
    r.v = [&](int key, int head, int d) {
      return read(t.kv_pool, desc_.dtype, layout_.v_index(pages[key / page_size], head, key % page_size, d));
    };
    const auto num_slopes =
        static_cast<std::size_t>(desc_.position_bias == PositionBias::kNone ? 0 : num_heads);
    const auto num_sinks = static_cast<std::size_t>(desc_.has_sinks ? num_heads : 0);
    const ReferenceResult result = reference_attention(
        desc_, r, {t.alibi_slopes, t.alibi_slopes + num_slopes}, {t.sinks, t.sinks + num_sinks});
    for (int token = 0; token < r.query_len; ++token) {
      for (int head = 0; head < num_heads; ++head) {
        const long row = long{token} * num_heads + head;
        const long o_row = (token_begin + token) * o_stride + long{head} * dim_vo;
        for (int d = 0; d < dim_vo; ++d) {
          write(t.o, desc_.dtype, o_row + d, result.o[static_cast<std::size_t>(row * dim_vo + d)]);
        }
        if (t.lse != nullptr) {
          t.lse[long{token_begin} * num_heads + row] =
              static_cast<float>(result.lse[static_cast<std::size_t>(row)]);
        }
      }
    }
  }

  Device& device_;
  const AttentionDesc desc_;
  const KvLayout layout_;
  std::vector<int> query_len_, kv_len_;
};

class ReferenceBackend : public AttentionBackend {
 public:
  const char* name() const override { return "reference"; }
  // The oracle computes every feature, on devices whose memory the host can read.
  bool supports(const AttentionFeature&, const Device& device) const override {
    return device.memory().is_host;
  }
  std::string why_not(const AttentionDesc&, const Device& device) const override {
    if (device.memory().is_host) return "";
    return fmt::format("the host cannot read the memory of target {}", device.caps().target);
  }
  std::unique_ptr<AttentionOp> make(Device& device, const AttentionDesc& desc) const override {
    check_desc(desc);
    return std::make_unique<ReferenceOp>(device, desc);
  }
};

}  // namespace

std::unique_ptr<AttentionBackend> make_reference_backend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace quire
