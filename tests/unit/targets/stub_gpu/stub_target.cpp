#include "stub_target.h"

#include <fmt/format.h>

#include <atomic>
#include <cstdint>

#include "targets/jit/host_api.h"
#include "targets/jit/jit_device.h"
#include "targets/jit/row_weights.h"

namespace quire::stub {
namespace {

constexpr int kLanes = 64;
std::atomic<int> num_compiled{0};

// Rows as they come: the target's own layout.
struct RowPage {
  int page_size, head_dim_qk, head_dim_vo;
  int stored_k_dim() const { return head_dim_qk; }
  int stored_v_dim() const { return head_dim_vo; }
  long k_elems() const { return long{page_size} * head_dim_qk; }
  long v_elems() const { return long{page_size} * head_dim_vo; }
  long k_offset(int token, int dim) const { return long{token} * head_dim_qk + dim; }
  long v_offset(int token, int dim) const { return long{token} * head_dim_vo + dim; }
};

std::unique_ptr<PageLayout> page_layout(const KvFormat& format, HeadShape heads, int page_size) {
  return std::make_unique<PageLayoutOf<RowPage>>(format, RowPage{page_size, heads.qk, heads.vo});
}

std::unique_ptr<WeightLayout> weight_layout(const WeightFormat& format, int out_dim, int in_dim) {
  return std::make_unique<RowWeights>(out_dim, in_dim, static_cast<int>(16 / dtype_bytes(format.type)));
}

class StubRules : public TileRules {
 public:
  AttentionTuning heuristics(const AttentionClass&) const override {
    return {{4, 64, 64, 128, 2, 0}, {1, 64, 1, 1}};
  }
  std::string why_illegal(const AttentionClass&, const AttentionTiles& t) const override {
    return t.producer_registers == 0 ? "" : "no warp that only loads";
  }
  std::vector<AttentionTiles> legal_tiles(const AttentionClass& problem) const override {
    return {heuristics(problem).tiles, {8, 64, 64, 128, 1, 0}};
  }
  KernelShape attention_shape(const AttentionClass&, const AttentionTiles& t, bool) const override {
    return {kLanes * t.num_warps, 32768, t.blocks_per_sm, {fmt::format("-DWAVES={}", t.num_warps)}};
  }
  int value_cols(const AttentionClass& problem) const override { return problem.head_dim; }
  LinearTiles linear(DType, bool is_many) const override {
    return {is_many ? 128 : kFewRows, 64, 64, {kLanes * 4, 16384, 1, {}}};
  }
  KernelShape row_shape(const std::string&, DType, int threads, bool) const override {
    return {threads, 1024, 1, {}};
  }
  std::vector<std::string> common_options() const override { return {"-DQUIRE_TARGET=stub_target"}; }
  std::string tile_folder() const override { return "targets/stub/tile/"; }
  std::string entry_head(const char* params, int threads, int) const override {
    return fmt::format("extern \"C\" void quire_entry(const {} p, const LaunchState state) /* {} lanes */",
                       params, threads);
  }
};

class StubCompiler : public RuntimeCompiler {
 public:
  std::string name() const override { return "stubcc"; }
  std::string version() const override { return "1.0"; }
  std::vector<std::string> options_for(const std::string& architecture) const override {
    return {"-march=" + architecture};
  }
  CompiledKernel compile(const std::string& name, const std::string& source,
                         std::span<const std::string> options, std::span<const NamedText>) const override {
    ++num_compiled;
    return {name, "", fmt::format("{}{}", fmt::join(options, " "), source)};
  }
};

class StubApi : public HostApi {
 public:
  StubApi() : HostApi({"stub", "Stub GPU", 10}) {}

  std::byte* allocate(std::size_t bytes) override {
    ++diary().num_buffers;
    return HostApi::allocate(bytes);
  }
  void release(std::byte* memory) override {
    --diary().num_buffers;
    HostApi::release(memory);
  }
  GpuCode load(const JitKernel&, const CompiledKernel&, const std::string&) override {
    const auto number = static_cast<std::uintptr_t>(++diary().num_loaded);
    return {reinterpret_cast<GpuModule*>(number), reinterpret_cast<GpuFunction*>(number)};
  }
  void unload(const GpuCode&) override { --diary().num_loaded; }

 private:
  void run(const JitKernel& kernel, const GpuCode&, int num_blocks, const void*, int*) override {
    diary().launches.push_back({kernel.name, num_blocks, kernel.shape.threads});
  }
};

// Of imitated_lt.cpp; the names of functions, attributes and their order are those of AMD's library.
constexpr LtDialect kStubLt{.prefix = "stubLt",
                            .has_status_string = false,
                            .f32 = 7,
                            .f16 = 8,
                            .bf16 = 9,
                            .compute_f32 = 2,
                            .transpose = 5,
                            .desc_transpose_a = 0,
                            .desc_epilogue = 2,
                            .desc_bias = 3,
                            .desc_bias_type = 4,
                            .epilogue_bias = 4,
                            .max_workspace = 1,
                            .min_alignment = -1,
                            .not_supported = 3,
                            .algorithm_bytes = 24};

std::unique_ptr<Device> open_device(const DeviceOptions& options) {
  const auto api = std::make_shared<StubApi>();
  JitParts parts{.api = api,
                 .compiler = {std::make_shared<StubCompiler>(), {}, options.cache_dir},
                 .rules = std::make_unique<StubRules>(),
                 .architecture = "stub1",
                 .page_layout = page_layout,
                 .weight_layout = weight_layout,
                 .tuned_tables = {},
                 .tables_dir = "",
                 .spilled_bytes = [](const std::string&) { return 0; },
                 .open_vendor = {}};
  if (const std::string library = options.setting("stub.lt"); !library.empty()) {
    parts.open_vendor = [api, library] { return try_open_lt(std::span(&library, 1), kStubLt, api); };
  }
  return std::make_unique<JitDevice>(std::move(parts));
}

}  // namespace

Diary& diary() {
  static Diary diary;
  diary.num_compiled = num_compiled;
  return diary;
}

void register_stub_target(TargetRegistry& registry) {
  TargetEntry entry;
  entry.name = "stub";
  entry.why_absent = [](const DeviceOptions&) { return std::string(); };
  entry.open = open_device;
  entry.levels = [](const DeviceOptions&) { return std::vector<std::string>{"Stub GPU"}; };
  entry.settings = {"lt"};
  registry.add(std::move(entry));
}

}  // namespace quire::stub
