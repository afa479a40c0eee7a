// The unified backend: one launch for any mix of prefill, extend, decode and verification.
#include <algorithm>

#include "attention/backends.h"
#include "attention/planner.h"
#include "base/check.h"
#include "tile/ranges.h"

namespace quire {
namespace {

class UnifiedOp : public AttentionOp {
 public:
  UnifiedOp(Device& device, const AttentionDesc& desc)
      : device_(device),
        desc_(desc),
        caps_(device.attention(), desc),
        layout_(kv_layout(device, desc)),
        kernel_(device.resolve(variant_of(desc))) {}

  const char* backend() const override { return "unified"; }

  void plan(const AttentionLengths& lengths) override {
    make_schedule(desc_, caps_, lengths, schedule_);
    make_room(schedule_.work().size(), schedule_.num_partial_rows, schedule_.num_counters);
    device_.copy_to_device(work_->data(), schedule_.image.data(), schedule_.image.size());
    cost_ = attention_cost(desc_, lengths);
  }

  // Two items a block and eight a program are more than the planner makes of usual decodes. A plan that needs
  // more allocates again, and recording_id changes.
  void reserve(int num_seqs) override {
    const int group_size = desc_.num_qo_heads / desc_.num_kv_heads;
    const int num_rows = std::min(group_size, caps_.rows(desc_));
    const std::size_t num_blocks =
        std::size_t(num_seqs) * std::size_t(desc_.num_kv_heads * ceil_div(group_size, num_rows));
    const std::size_t num_items = 2 * num_blocks + 8 * std::size_t(caps_.most_programs());
    make_room(num_items, static_cast<int>(num_items) * num_rows, static_cast<int>(num_items));
    least_programs_ = caps_.most_programs();
  }

  std::uint64_t recording_id() const override {
    return num_reallocations_ * 4 + (has_few() ? 2 : 0) + (has_many() ? 1 : 0);
  }
  LaunchCost cost() const override { return cost_; }

  void run(const AttentionTensors& t) override {
    AttentionParams p{};
    p.q = t.q;
    p.o = t.o;
    p.lse = t.lse;
    p.kv_pool = t.kv_pool;
    p.page_table = t.page_table;
    p.max_pages = t.max_pages;
    p.num_work = work_->as<int>();
    p.work = reinterpret_cast<const AttentionWork*>(work_->data() + AttentionSchedule::kHeaderBytes);
    p.has_few = has_few() ? 1 : 0;
    p.has_many = has_many() ? 1 : 0;
    p.alibi_slopes = t.alibi_slopes;
    p.sinks = desc_.has_sinks ? t.sinks : nullptr;
    p.partial_o = partial_o_->as<float>();
    p.partial_md = partial_md_->as<float>();
    p.counters = counters_->as<int>();
    p.q_token_stride =
        t.q_token_stride != 0 ? t.q_token_stride : long{desc_.num_qo_heads} * desc_.head_dim_qk;
    p.o_token_stride =
        t.o_token_stride != 0 ? t.o_token_stride : long{desc_.num_qo_heads} * desc_.head_dim_vo;
    p.page_stride = layout_.page_stride;
    p.head_stride = layout_.head_stride;
    p.v_offset = layout_.v_offset;
    p.num_qo_heads = desc_.num_qo_heads;
    p.group_size = desc_.num_qo_heads / desc_.num_kv_heads;
    p.head_dim_qk = desc_.head_dim_qk;
    p.head_dim_vo = desc_.head_dim_vo;
    p.page_size = desc_.page_size;
    p.sees = visibility_of(desc_);
    p.mods = score_mods_of(desc_);
    p.position_bias = desc_.position_bias;
    p.sm_scale = desc_.sm_scale;
    p.logits_soft_cap = desc_.logits_soft_cap;
    QUIRE_CHECK(desc_.position_bias == PositionBias::kNone || t.alibi_slopes != nullptr,
                "ALiBi needs alibi_slopes");
    QUIRE_CHECK(!desc_.has_sinks || t.sinks != nullptr, "the desc has sinks, but no sinks were given");
    const int num_work = std::max(static_cast<int>(schedule_.work().size()), least_programs_);
    device_.run(kernel_, p, num_work, t.is_recorded ? LaunchCost{} : cost_);
  }

 private:
  // Whether the kernel has a form for items of few rows.
  bool takes_few() const { return caps_.of(BatchKind::kDecode).few_rows > 0; }
  bool has_few() const {
    return takes_few() && !schedule_.work().empty() && schedule_.kind != BatchKind::kPrefill;
  }
  bool has_many() const {
    return !schedule_.work().empty() && (!takes_few() || schedule_.kind != BatchKind::kDecode);
  }

  void make_room(std::size_t num_items, int num_partial_rows, int num_counters) {
    const auto rows = static_cast<std::size_t>(num_partial_rows);
    bool is_new = grow(work_, AttentionSchedule::kHeaderBytes + num_items * sizeof(AttentionWork));
    is_new |= grow(partial_o_, rows * static_cast<std::size_t>(desc_.head_dim_vo) * sizeof(float));
    is_new |= grow(partial_md_, rows * 2 * sizeof(float));
    if (grow(counters_, static_cast<std::size_t>(num_counters) * sizeof(int))) {
      const std::vector<std::byte> zeros(
          counters_->bytes());  // from then on every launch resets them to zero
      device_.copy_to_device(counters_->data(), zeros.data(), zeros.size());
      is_new = true;
    }
    num_reallocations_ += is_new ? 1 : 0;
  }

  // Makes the buffer hold at least `bytes`; true if it is new.
  bool grow(std::unique_ptr<Buffer>& buffer, std::size_t bytes) {
    if (buffer != nullptr && buffer->bytes() >= bytes) return false;
    const std::size_t grown = buffer == nullptr ? bytes : std::max(bytes, 2 * buffer->bytes());
    buffer = device_.allocate(std::max<std::size_t>(grown, 64));
    return true;
  }

  Device& device_;
  const AttentionDesc desc_;
  const CapsByKind caps_;
  const KvLayout layout_;
  const KernelHandle kernel_;
  AttentionSchedule schedule_;
  int least_programs_ = 0;
  std::uint64_t num_reallocations_ = 0;
  LaunchCost cost_;
  std::unique_ptr<Buffer> work_, partial_o_, partial_md_, counters_;
};

class UnifiedBackend : public AttentionBackend {
 public:
  const char* name() const override { return "unified"; }
  bool supports(const AttentionFeature& feature, const Device& device) const override {
    return feature.in_kernel(device.attention().abilities());
  }
  std::string why_not(const AttentionDesc& desc, const Device& device) const override {
    const KernelAbilities abilities = device.attention().abilities();
    if (!abilities.has_kernel())
      return fmt::format("target {} has no attention kernel", device.caps().target);
    const HeadShape most = abilities.max_heads;
    if (desc.head_dim_qk <= most.qk && desc.head_dim_vo <= most.vo) return "";
    return fmt::format("heads of {}/{} elements, target {} takes at most {}/{}", desc.head_dim_qk,
                       desc.head_dim_vo, device.caps().target, most.qk, most.vo);
  }
  std::unique_ptr<AttentionOp> make(Device& device, const AttentionDesc& desc) const override {
    check_desc(desc);
    return std::make_unique<UnifiedOp>(device, desc);
  }
};

}  // namespace

std::unique_ptr<AttentionBackend> make_unified_backend() { return std::make_unique<UnifiedBackend>(); }

}  // namespace quire
