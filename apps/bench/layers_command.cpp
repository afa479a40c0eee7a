#include <array>

#include "apps/bench/bench_command.h"
#include "apps/console.h"
#include "base/check.h"
#include "kernels/params.h"
#include "model/device_sampler.h"

namespace quire {
namespace {

struct LayersFlags : BenchFlags {
  std::vector<int> rows = {1, 512};
  std::string dtype = "bf16";
  int num_layers = 32;
};

// The sizes of a Llama of 8 billion weights.
constexpr int kHidden = 4096, kInner = 14336, kHeads = 32, kKvHeads = 8, kHeadDim = 128, kVocab = 128256;
constexpr int kQkv = (kHeads + 2 * kKvHeads) * kHeadDim, kPageSize = 16;

// Buffers of one number of rows, and what reads and writes them.
class Layers {
 public:
  Layers(Device& device, DType dtype, int num_rows)
      : device_(device),
        dtype_(dtype),
        rows_(num_rows),
        elem_(dtype_bytes(dtype)),
        hidden_(make(kHidden)),
        delta_(make(kHidden)),
        residual_(make(kHidden)),
        qkv_(make(kQkv)),
        gate_up_(make(2 * kInner)),
        inner_(make(kInner)),
        norm_weight_(random_buffer(device, kHidden, dtype)),
        logits_(random_buffer(device, static_cast<std::size_t>(num_rows) * kVocab, DType::kF32)),
        cos_sin_(random_buffer(device, std::size_t{8192} * kHeadDim, DType::kF32)),
        positions_(upload(std::vector<int>(static_cast<std::size_t>(num_rows), 77))),
        ids_(upload(std::vector<int>(static_cast<std::size_t>(num_rows), 0))),
        sampler_(device, kVocab) {
    sampler_.reserve(num_rows);
    std::vector<DrawRow> draws;
    for (int r = 0; r < num_rows; ++r) draws.push_back({0x9e3779b97f4a7c15ull * static_cast<Mass>(r + 1), 0, 1.4426950f, 0, 0, 0});
    draws_ = upload(draws);
    for (DrawRow& draw : draws) draw.top_k = 50, draw.top_p = 0xe666666666666666ull;
    threshold_draws_ = upload(draws);
    std::vector<long> slots;
    for (int r = 0; r < num_rows; ++r) slots.push_back(r);
    slots_ = upload(slots);
    const auto num_pages = static_cast<std::size_t>(num_rows / kPageSize + 1);
    pool_ = random_buffer(device, num_pages * kPageSize * 2 * kKvHeads * kHeadDim, dtype);
  }

  double row_bytes(int dim) const { return double(rows_) * dim * static_cast<double>(elem_); }

  LaunchCost norm(bool has_residual) {
    RmsNormParams p{};
    p.x = has_residual ? delta_->data() : residual_->data();
    p.residual = has_residual ? residual_->data() : nullptr;
    p.weight = norm_weight_->data();
    p.y = hidden_->data();
    p.x_stride = p.y_stride = p.residual_stride = p.dim = kHidden;
    p.num_rows = rows_;
    p.eps = 1e-5f;
    return run(RowVariant{KernelName::kRmsNorm, dtype_}, p, (has_residual ? 4 : 2) * row_bytes(kHidden));
  }
  LaunchCost rope() {
    RopeParams p{};
    p.x = qkv_->data();
    p.positions = positions_->as<int>();
    p.cos_sin = cos_sin_->as<float>();
    p.token_stride = kQkv;
    p.num_tokens = rows_;
    p.num_heads = kHeads + kKvHeads;
    p.head_dim = kHeadDim;
    return run(RowVariant{KernelName::kRope, dtype_}, p, 2 * row_bytes((kHeads + kKvHeads) * kHeadDim));
  }
  LaunchCost kv_write() {
    KvWriteParams p{};
    p.k = qkv_->data() + std::size_t{kHeads} * kHeadDim * elem_;
    p.v = qkv_->data() + std::size_t{kHeads + kKvHeads} * kHeadDim * elem_;
    p.kv_pool = pool_->data();
    p.slot_mapping = slots_->as<long>();
    p.k_token_stride = p.v_token_stride = kQkv;
    p.v_offset = kPageSize * kHeadDim;
    p.head_stride = 2 * p.v_offset;
    p.page_stride = kKvHeads * p.head_stride;
    p.num_tokens = rows_;
    p.num_kv_heads = kKvHeads;
    p.head_dim_qk = p.head_dim_vo = kHeadDim;
    p.page_size = kPageSize;
    return run(RowVariant{KernelName::kKvWrite, dtype_}, p, 4 * row_bytes(kKvHeads * kHeadDim));
  }
  LaunchCost activation() {
    ActivationParams p{gate_up_->data(), inner_->data(), rows_, kInner, ActivationKind::kSilu};
    return run(RowVariant{KernelName::kActivation, dtype_}, p, 3 * row_bytes(kInner));
  }
  LaunchCost embedding() {  // of rows of this batch, as before the output layer
    EmbeddingParams p{hidden_->data(), ids_->as<int>(), delta_->data(), rows_, kHidden};
    return run(RowVariant{KernelName::kEmbedding, dtype_}, p, 2 * row_bytes(kHidden));
  }
  LaunchCost sample_greedy() {
    sampler_.sample(logits_->as<float>(), rows_);
    return {double(rows_) * kVocab * 4, 0};
  }

  // After sample_greedy, which leaves the maxima. With thresholds rows are read twice more.
  LaunchCost sample_random(bool has_thresholds) {
    const Buffer& draws = has_thresholds ? *threshold_draws_ : *draws_;
    sampler_.draw(logits_->as<float>(), draws.as<DrawRow>(), rows_, has_thresholds);
    return {(has_thresholds ? 3.0 : 1.0) * rows_ * kVocab * 4, 0};
  }

  // All of a decode but attention, which reads little for short requests. weights[layer]: of the four matrices.
  LaunchCost step(const std::vector<std::array<std::unique_ptr<Buffer>, 4>>& weights, const Buffer& head) {
    double bytes = embedding().bytes;
    for (const auto& w : weights) {
      bytes += norm(true).bytes + linear(*w[0], *hidden_, *qkv_, kHidden, kQkv) + rope().bytes + kv_write().bytes;
      bytes += linear(*w[1], *qkv_, *delta_, kHidden, kHidden) + norm(true).bytes;
      bytes += linear(*w[2], *hidden_, *gate_up_, kHidden, 2 * kInner) + activation().bytes + linear(*w[3], *inner_, *delta_, kInner, kHidden);
    }
    bytes += norm(true).bytes + linear(head, *hidden_, *logits_, kHidden, kVocab, true);
    return {bytes, 0};
  }

 private:
  std::unique_ptr<Buffer> make(int dim) { return random_buffer(device_, static_cast<std::size_t>(rows_) * static_cast<std::size_t>(dim), dtype_); }
  template <class T>
  std::unique_ptr<Buffer> upload(const std::vector<T>& values) {
    auto buffer = device_.allocate(values.size() * sizeof(T));
    device_.copy_to_device(buffer->data(), values.data(), buffer->bytes());
    return buffer;
  }
  template <class Params>
  LaunchCost run(const KernelVariant& kernel, const Params& p, double bytes) {
    device_.run(kernel, p, rows_, {bytes, 0});
    return {bytes, 0};
  }
  double linear(const Buffer& weight, const Buffer& x, const Buffer& y, int in_dim, int out_dim, bool to_f32 = false) {
    LinearParams p{};
    p.x = x.data();
    p.weight = weight.data();
    p.y = y.data();
    p.x_stride = p.in_dim = in_dim;
    p.y_stride = p.out_dim = out_dim;
    p.num_rows = rows_;
    return run(plain_linear(dtype_, to_f32 ? DType::kF32 : dtype_), p, static_cast<double>(weight.bytes()) + row_bytes(in_dim + out_dim)).bytes;
  }

  Device& device_;
  const DType dtype_;
  const int rows_;
  const std::size_t elem_;
  const std::unique_ptr<Buffer> hidden_, delta_, residual_, qkv_, gate_up_, inner_, norm_weight_, logits_, cos_sin_, positions_, ids_;
  DeviceSampler sampler_;
  std::unique_ptr<Buffer> slots_, pool_, draws_, threshold_draws_;
};

void measure_layers(Device& device, CeilingMeter& meter, const LayersFlags& flags, int rows, BenchReport& report) {
  const DType dtype = dtype_of(flags.dtype);
  Layers layers(device, dtype, rows);
  const auto add = [&](const char* name, const std::function<LaunchCost()>& launch) {
    BenchWork work;
    work.name = fmt::format("{} {} {}", name, rows, flags.dtype);
    work.dtype = dtype;
    work.only_launches = true;
    work.cost = launch();
    work.run = [&](int) { launch(); };
    report.add(measure(device, meter, work, flags.num_rounds));
  };
  add("embedding", [&] { return layers.embedding(); });
  add("rms_norm", [&] { return layers.norm(false); });
  add("rms_norm + residual", [&] { return layers.norm(true); });
  add("rope", [&] { return layers.rope(); });
  add("kv_write", [&] { return layers.kv_write(); });
  add("activation", [&] { return layers.activation(); });
  add("sample_greedy", [&] { return layers.sample_greedy(); });
  add("sample_draw", [&] { return layers.sample_random(false); });
  add("sample_draw, top_k 50, top_p", [&] { return layers.sample_random(true); });
  if (flags.num_layers == 0) return;
  const auto some = random_buffer(device, std::size_t{1} << 20, dtype);
  std::vector<std::byte> repeated(some->bytes());
  device.copy_to_host(repeated.data(), some->data(), repeated.size());
  const auto weight = [&](int out_dim, int in_dim) {
    auto made = device.allocate(static_cast<std::size_t>(device.weight_layout({dtype}, out_dim, in_dim)->elems()) * dtype_bytes(dtype));
    for (std::size_t at = 0; at < made->bytes(); at += repeated.size()) {
      device.copy_to_device(made->data() + at, repeated.data(), std::min(repeated.size(), made->bytes() - at));
    }
    return made;
  };
  std::vector<std::array<std::unique_ptr<Buffer>, 4>> weights;
  for (int i = 0; i < flags.num_layers; ++i) {
    weights.push_back({weight(kQkv, kHidden), weight(kHidden, kHidden), weight(2 * kInner, kHidden), weight(kHidden, kInner)});
  }
  const auto head = weight(kVocab, kHidden);
  add(fmt::format("step of {} layers", flags.num_layers).c_str(), [&] { return layers.step(weights, *head); });
}

int run_layers(const Program& program, const LayersFlags& flags) {
  const std::unique_ptr<Device> device = open_device(program, flags.device);
  CeilingMeter meter(*device);
  BenchReport report(device->caps());
  for (const int rows : flags.rows) measure_layers(*device, meter, flags, rows, report);
  report.finish(meter.best(), flags.json_path);
  return kExitOk;
}

}  // namespace

void add_bench_layers(CLI::App& bench, Program& program) {
  CLI::App& command = *bench.add_subcommand("layers", "Elementwise kernels and a whole decode without attention");
  command.footer(R"(
Sizes are those of a Llama of 8 billion weights. A step is all launches of a decode but attention, with weights of its own for each layer.

Examples:
  quire bench layers --rows 1,8,512
  quire bench layers --rows 64 --layers 0)");
  const auto flags = std::make_shared<LayersFlags>();
  command.add_option("--rows", flags->rows, "Tokens, several joined by commas")->delimiter(',')->check(CLI::Range(1, 16384))->capture_default_str();
  command.add_option("--layers", flags->num_layers, "Layers of the step; 0: no step")->check(CLI::Range(0, 256))->capture_default_str();
  command.add_option("--dtype", flags->dtype, "Element type")->check(CLI::IsMember(dtype_names()))->capture_default_str();
  add_bench_flags(command, *flags);
  command.callback([&program, flags] { program.action = [&program, flags] { return run_layers(program, *flags); }; });
}

}  // namespace quire
