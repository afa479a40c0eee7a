#include "targets/cuda/kernel_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <iterator>

#include "base/check.h"
#include "kernels/params.h"

namespace quire {
namespace {

constexpr int kNumDTypes = 3;
constexpr int kLinearManyRows = 64;

// Kernels in the order of their ids. An id is first + variant * kNumDTypes + dtype.
enum class Family : std::uint8_t {
  kAttention,      // variant: head size bound; items of few, of many, or both numbers of rows; with transforms; exact head size
  kMergeState,
  kKvWrite,
  kLinear,         // variant: few or many rows, to the dtype of x or to f32
  kRmsNorm,
  kRope,
  kActivation,
  kEmbedding,
  kSampleGreedy,  // from here on f32 alone
  kSampleBins,
  kSampleCut,
  kSampleDraw,
  kTakeTokens,
  kCeiling,        // variant: read, fma, dot
};
struct FamilyFacts {
  Family family;
  int num_variants;
  const char *name, *header, *params;
  int threads;
};
constexpr FamilyFacts kFamilies[] = {
    {Family::kAttention, 48, "attention", "kernels/attention.h", "AttentionParams", 128},
    {Family::kMergeState, 1, "merge_state", "kernels/merge_state.h", "MergeStateParams", 128},
    {Family::kKvWrite, 1, "kv_write", "kernels/kv_write.h", "KvWriteParams", 256},
    {Family::kLinear, 4, "linear", "kernels/linear.h", "LinearParams", 128},
    {Family::kRmsNorm, 4, "rms_norm", "kernels/layers.h", "RmsNormParams", 256},  // variant: short rows, ragged
    {Family::kRope, 2, "rope", "kernels/layers.h", "RopeParams", 256},
    {Family::kActivation, 2, "activation", "kernels/layers.h", "ActivationParams", 256},
    {Family::kEmbedding, 2, "embedding", "kernels/layers.h", "EmbeddingParams", 256},
    {Family::kSampleGreedy, 2, "sample_greedy", "kernels/sampling.h", "SampleGreedyParams", 256},
    {Family::kSampleBins, 1, "sample_bins", "kernels/token_draw.h", "SampleDrawParams", 256},
    {Family::kSampleCut, 1, "sample_cut", "kernels/token_draw.h", "SampleDrawParams", 256},
    {Family::kSampleDraw, 1, "sample_draw", "kernels/token_draw.h", "SampleDrawParams", 256},
    {Family::kTakeTokens, 1, "take_tokens", "kernels/sampling.h", "TakeTokensParams", 32},
    {Family::kCeiling, 3, "ceiling", "targets/cuda/ceilings.h", "CeilingParams", 256},
};

struct Choice {
  FamilyFacts facts;
  int variant;
  DType dtype;
};

int first_id(Family family) {
  int id = 0;
  for (const FamilyFacts& f : kFamilies) {
    if (f.family == family) return id;
    id += f.num_variants * kNumDTypes;
  }
  return id;
}

Choice choice_of(int id) {
  int first = 0;
  for (const FamilyFacts& f : kFamilies) {
    const int next = first + f.num_variants * kNumDTypes;
    if (id >= first && id < next) return {f, (id - first) / kNumDTypes, static_cast<DType>((id - first) % kNumDTypes)};
    first = next;
  }
  throw_error(ErrorKind::kInternal, "no kernel {}", id);
}

int id_of(Family family, int variant, DType dtype) {
  return first_id(family) + variant * kNumDTypes + static_cast<int>(dtype);
}

// At the start of a piece of 16 bytes.
bool is_aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

// Bounds that are met exactly, by q, k and v alike, and rows of aligned pieces of 16 bytes spare the kernel what runs at edges.
bool is_exact(const AttentionParams& p, DType dtype) {
  const long piece = 16 / static_cast<long>(dtype_bytes(dtype));
  return p.head_dim_qk == p.head_dim_vo && head_dim_bound(p.head_dim_qk) == p.head_dim_qk && p.q_token_stride % piece == 0 &&
         p.o_token_stride % piece == 0 && is_aligned(p.q) && is_aligned(p.o);
}

int attention_variant(const AttentionParams& p, DType dtype) {
  const int head_dim = std::max(p.head_dim_qk, p.head_dim_vo);
  const int* bound = std::find(std::begin(kHeadDimBounds), std::end(kHeadDimBounds), head_dim_bound(head_dim));
  QUIRE_CHECK_KIND(kInternal, head_dim <= *bound, "no attention kernel for head size {}", head_dim);
  const bool transforms = p.logits_soft_cap > 0 || p.position_bias != PositionBias::kNone || !(p.sm_scale > 0);
  const int kinds = static_cast<int>(p.has_few == 0 ? BatchKind::kPrefill : p.has_many == 0 ? BatchKind::kDecode : BatchKind::kMixed);
  return 4 * (3 * static_cast<int>(bound - kHeadDimBounds) + kinds) + (transforms ? 2 : 0) + (is_exact(p, dtype) ? 1 : 0);
}

constexpr int kSpanElems = 8;       // that a thread of an elementwise kernel takes at once
constexpr int kShortRow = 512;      // elements: a row for one warp

// Lengths and strides of rows in elements, and where they begin: whether all are of whole spans.
bool are_whole(std::initializer_list<long> elems, std::initializer_list<const void*> rows) {
  return std::all_of(elems.begin(), elems.end(), [](long n) { return n % kSpanElems == 0; }) &&
         std::all_of(rows.begin(), rows.end(), is_aligned);
}

constexpr bool is_few(const LinearParams& p) { return p.num_rows <= kFewRows && p.batch_invariant == 0; }

const char* element_of(DType dtype) { return dtype == DType::kF32 ? "float" : dtype == DType::kF16 ? "f16" : "bf16"; }

std::string kernel_text(const FamilyFacts& f, const std::string& before, const std::string& kernel, int threads, int blocks_per_sm) {
  return fmt::format(R"(#include "{}"
namespace quire {{
namespace QUIRE_TARGET {{
{}extern "C" __global__ void __launch_bounds__({}, {}) quire_entry(const __grid_constant__ {} p, const LaunchState state) {{
  Program program(state);
  {}::run(program, p);
}}
}}
}}
)",
                     f.header, before, threads, blocks_per_sm, f.params, kernel);
}

// The class of an attention kernel.
AttentionClass class_of(const Choice& c) {
  return {c.dtype, kHeadDimBounds[c.variant / 12], static_cast<BatchKind>(c.variant / 4 % 3)};
}

CudaKernel make_attention(const Choice& c, const AttentionTiles& t) {
  static constexpr const char* kKinds[] = {"Few, Few", "Many, Many", "Many, Few"};  // by BatchKind
  static constexpr const char* kKindNames[] = {"_few", "_many", ""};
  const AttentionClass problem = class_of(c);
  const auto kind = static_cast<std::size_t>(problem.kind);
  const bool transforms = c.variant / 2 % 2 != 0, exact = c.variant % 2 != 0, has_producer = t.producer_registers > 0;
  // Registers are scarce where text for many rows needs them, most of all beside that for few.
  const int parts_at_once = problem.kind == BatchKind::kDecode ? 4 : problem.kind == BatchKind::kPrefill && has_producer ? 2 : 1;
  const auto config = [&](const char* name, int rows, int keys) {
    return fmt::format("struct {} {{ static constexpr int kRows = {}, kKeys = {}, kHeadDim = {}, kPartsAtOnce = {}; static constexpr bool kTransforms = {}; }};\n",
                       name, rows, keys, problem.head_dim, parts_at_once, transforms);
  };
  const std::string few = t.few_keys > 0 ? config("Few", kFewRows, t.few_keys) : config("Few", many_rows(t), t.keys);
  CudaKernel k;
  k.threads = 32 * (t.num_warps + (has_producer ? 4 : 0));
  k.name = fmt::format("attention{}_{}_d{}{}{}", kKindNames[kind], to_string(c.dtype), problem.head_dim, exact ? "" : "_ragged", transforms ? "_transforms" : "");
  k.source = kernel_text(c.facts, config("Many", many_rows(t), t.keys) + few, fmt::format("Attention<{}, {}>", element_of(c.dtype), kKinds[kind]),
                         k.threads, t.blocks_per_sm);
  k.options = {fmt::format("-DQUIRE_WARPS={}", t.num_warps), fmt::format("-DQUIRE_RING_KEYS={}", t.ring_keys), "-DQUIRE_RING_STEPS=2",
               fmt::format("-DQUIRE_EXACT_HEADS={}", exact ? 1 : 0), fmt::format("-DQUIRE_WARPGROUPS={}", has_producer ? 1 : 0),
               fmt::format("-DQUIRE_PRODUCER={}", t.producer_registers)};
  k.shared_bytes = tiles_bytes(problem, t);
  k.blocks_per_sm = t.blocks_per_sm;
  k.persistent = true;
  k.params_bytes = sizeof(AttentionParams);
  return k;
}

struct LinearTiles {
  int num_warps, rows, cols, depth, stages, shared_bytes, blocks_per_sm;
};

// 64 x 64 sums.
LinearTiles many_rows_tiles(int elem, int sm) {
  const int stages = 4, depth = 128 / elem;
  const int bytes = round_up(exchange_bytes(4), 1024) + stages * (kLinearManyRows + 64) * 128;
  return {4, kLinearManyRows, 64, depth, stages, bytes, std::max(1, (shared_limit(sm) + 1024) / (bytes + 1024))};
}

// Up to 32 columns, of which each warp reads pieces of 256 bytes: as much of the weights is under way as shared memory holds.
LinearTiles few_rows_tiles(int elem, int sm) {
  constexpr int kCols = 32, kPieceBytes = 256, kSlotBytes = kCols * kPieceBytes + 128;
  const int num_warps = shared_limit(sm) > 128 << 10 ? 8 : 4;
  const int reserved = round_up(exchange_bytes(num_warps) + num_warps * kFewRows * kCols * 4, 1024);
  const int stages = std::min(4, (shared_limit(sm) - reserved) / (num_warps * kSlotBytes));
  return {num_warps, kFewRows, kCols, num_warps * kPieceBytes / elem, stages, reserved + stages * num_warps * kSlotBytes, 1};
}

CudaKernel make_linear(const Choice& c, int sm) {
  const bool many = c.variant / 2 != 0, to_f32 = c.variant % 2 != 0;
  const int elem = static_cast<int>(dtype_bytes(c.dtype));
  const LinearTiles t = many ? many_rows_tiles(elem, sm) : few_rows_tiles(elem, sm);
  CudaKernel k;
  k.name = fmt::format("linear_{}_{}{}", many ? "many" : "few", to_string(c.dtype), to_f32 ? "_to_f32" : "");
  k.threads = 32 * t.num_warps;
  k.shared_bytes = t.shared_bytes;
  k.blocks_per_sm = t.blocks_per_sm;
  k.source = kernel_text(c.facts,
                         fmt::format("struct Tiles {{ static constexpr int kRows = {}, kCols = {}, kDepth = {}; }};\n", t.rows, t.cols, t.depth),
                         fmt::format("Linear<{}, {}, Tiles>", element_of(c.dtype), to_f32 ? "float" : element_of(c.dtype)), k.threads,
                         k.blocks_per_sm);
  k.options = {"-DQUIRE_RING_KEYS=64", fmt::format("-DQUIRE_RING_STEPS={}", t.stages), fmt::format("-DQUIRE_WARPS={}", t.num_warps),
               fmt::format("-DQUIRE_JOIN_BYTES={}", many ? 0 : t.num_warps * kFewRows * t.cols * 4)};
  k.persistent = true;
  k.params_bytes = sizeof(LinearParams);
  return k;
}

CudaKernel make_simple(const Choice& c, const std::string& kernel, std::size_t params_bytes) {
  CudaKernel k;
  k.name = fmt::format("{}_{}", c.facts.name, to_string(c.dtype));
  k.source = kernel_text(c.facts, "", fmt::format(fmt::runtime(kernel), element_of(c.dtype)), c.facts.threads, 1);
  k.shared_bytes = exchange_bytes(4);
  k.params_bytes = params_bytes;
  return k;
}

// Rows of whole spans, or ragged ones (variant 1), which may be cut and lie anywhere.
CudaKernel make_elementwise(const Choice& c, const std::string& kernel, std::size_t params_bytes) {
  // Loads hide each other's latencies; a block finds room beside one of a linear layer. f32 would spill.
  const int threads_per_sm = c.dtype == DType::kF32 ? 1024 : 1280;
  CudaKernel k = make_simple(c, kernel, params_bytes);
  const bool ragged = c.variant % 2 != 0;
  if (!ragged) {
    k.source = kernel_text(c.facts, "", fmt::format(fmt::runtime(kernel), element_of(c.dtype)), c.facts.threads,
                           std::min(32, threads_per_sm / c.facts.threads));
  }
  if (ragged) k.name += "_ragged";
  k.options = {"-DQUIRE_RING_KEYS=64", "-DQUIRE_RING_STEPS=2", fmt::format("-DQUIRE_WHOLE_SPANS={}", ragged ? 0 : 1)};
  k.threads = c.facts.threads;
  return k;
}

// One warp where a row is short, such as that of a head.
CudaKernel make_rms_norm(const Choice& c) {
  Choice chosen = c;
  if (c.variant / 2 == 1) chosen.facts.threads = 32;
  CudaKernel k = make_elementwise(chosen, "RmsNorm<{}>", sizeof(RmsNormParams));
  if (c.variant / 2 == 1) k.name += "_short";
  return k;
}

// Rows of any length, since lists of candidates are. With room for bins: counts and sums of 64 bits.
CudaKernel make_draw(const Choice& c, const char* kernel) {
  CudaKernel k = make_simple(c, kernel, sizeof(SampleDrawParams));
  k.options = {"-DQUIRE_RING_KEYS=64", "-DQUIRE_RING_STEPS=2", "-DQUIRE_WHOLE_SPANS=0"};
  k.shared_bytes = round_up(exchange_bytes(4), 1024) + kNumBins * 12;
  return k;
}

CudaKernel make_ceiling(const Choice& c, int sm) {
  static constexpr const char* kNames[] = {"CeilingRead", "CeilingFma", "CeilingDot"};
  CudaKernel k = make_simple(c, kNames[c.variant], sizeof(CeilingParams));
  if (c.variant == 2 && sm == 90) {
    k.options = {"-DQUIRE_RING_KEYS=64", "-DQUIRE_RING_STEPS=2", "-DQUIRE_WARPS=4", "-DQUIRE_WARPGROUPS=1"};
    k.shared_bytes = 2048 + 16384;
  }
  k.name = fmt::format("{}_{}", k.name, kNames[c.variant]);
  return k;
}

}  // namespace

int kernel_id(KernelKey key, const void* params) {
  switch (key.name) {
    case KernelName::kAttention:
      return id_of(Family::kAttention, attention_variant(*static_cast<const AttentionParams*>(params), key.dtype), key.dtype);
    case KernelName::kMergeState: return id_of(Family::kMergeState, 0, key.dtype);
    case KernelName::kKvWrite: return id_of(Family::kKvWrite, 0, key.dtype);
    case KernelName::kLinear:
    case KernelName::kLinearToF32: {
      const int many = is_few(*static_cast<const LinearParams*>(params)) ? 0 : 2;
      return id_of(Family::kLinear, many + (key.name == KernelName::kLinearToF32 ? 1 : 0), key.dtype);
    }
    case KernelName::kRmsNorm: {
      const auto& p = *static_cast<const RmsNormParams*>(params);
      const bool whole = are_whole({p.dim, p.x_stride, p.y_stride, p.residual_stride}, {p.x, p.y, p.residual, p.weight});
      return id_of(Family::kRmsNorm, (p.dim <= kShortRow ? 2 : 0) + (whole ? 0 : 1), key.dtype);
    }
    case KernelName::kRope: {
      const auto& p = *static_cast<const RopeParams*>(params);
      return id_of(Family::kRope, are_whole({p.head_dim / 2, p.token_stride}, {p.x, p.cos_sin}) ? 0 : 1, key.dtype);
    }
    case KernelName::kActivation: {
      const auto& p = *static_cast<const ActivationParams*>(params);
      return id_of(Family::kActivation, are_whole({p.dim}, {p.gate_up, p.y}) ? 0 : 1, key.dtype);
    }
    case KernelName::kEmbedding: {
      const auto& p = *static_cast<const EmbeddingParams*>(params);
      return id_of(Family::kEmbedding, are_whole({p.dim}, {p.table, p.y}) ? 0 : 1, key.dtype);
    }
    case KernelName::kSampleGreedy: {
      const auto& p = *static_cast<const SampleGreedyParams*>(params);
      return id_of(Family::kSampleGreedy, are_whole({p.vocab_size, p.part_len}, {p.logits}) ? 0 : 1, DType::kF32);
    }
    case KernelName::kSampleBins: return id_of(Family::kSampleBins, 0, DType::kF32);
    case KernelName::kSampleCut: return id_of(Family::kSampleCut, 0, DType::kF32);
    case KernelName::kSampleDraw: return id_of(Family::kSampleDraw, 0, DType::kF32);
    case KernelName::kTakeTokens: return id_of(Family::kTakeTokens, 0, DType::kF32);
    case KernelName::kCeilingRead: return id_of(Family::kCeiling, 0, DType::kF32);
    case KernelName::kCeilingFma: return id_of(Family::kCeiling, 1, DType::kF32);
    case KernelName::kCeilingDot: return id_of(Family::kCeiling, 2, DType::kF32);
    case KernelName::kCount: break;
  }
  throw_error(ErrorKind::kInternal, "no kernel {} for {}", static_cast<int>(key.name), to_string(key.dtype));
}

CudaKernel make_kernel(int id, int sm, const AttentionTiles* tiles) {
  const Choice c = choice_of(id);
  CudaKernel k;
  switch (c.facts.family) {
    case Family::kAttention: k = make_attention(c, tiles != nullptr ? *tiles : heuristic_config(class_of(c), sm).tiles); break;
    case Family::kLinear: k = make_linear(c, sm); break;
    case Family::kMergeState: k = make_simple(c, "MergeState<{}>", sizeof(MergeStateParams)); break;
    case Family::kKvWrite: k = make_simple(c, "KvWrite<{}>", sizeof(KvWriteParams)); break;
    case Family::kRmsNorm: k = make_rms_norm(c); break;
    case Family::kRope: k = make_elementwise(c, "Rope<{}>", sizeof(RopeParams)); break;
    case Family::kActivation: k = make_elementwise(c, "Activation<{}>", sizeof(ActivationParams)); break;
    case Family::kEmbedding: k = make_elementwise(c, "Embedding<{}>", sizeof(EmbeddingParams)); break;
    case Family::kSampleGreedy: k = make_elementwise(c, "SampleGreedy", sizeof(SampleGreedyParams)); break;
    case Family::kSampleBins: k = make_draw(c, "SampleBins"); break;
    case Family::kSampleCut: k = make_draw(c, "SampleCut"); break;
    case Family::kSampleDraw: k = make_draw(c, "SampleDraw"); break;
    case Family::kTakeTokens: k = make_simple(c, "TakeTokens", sizeof(TakeTokensParams)); break;
    case Family::kCeiling: k = make_ceiling(c, sm); break;
  }
  if (k.threads == 0) k.threads = c.facts.threads;
  if (k.options.empty()) k.options = {"-DQUIRE_RING_KEYS=64", "-DQUIRE_RING_STEPS=2"};
  k.options.insert(k.options.end(), {"-DQUIRE_TARGET=cuda_target", "-DQUIRE_TARGET_HEADER=\"tile/target_cuda/target.h\"",
                                     "-DQUIRE_SIMT_HEADER=\"tile/target_cuda/simt_nvidia.h\""});
  return k;
}

std::optional<AttentionClass> attention_class(int id) {
  const Choice c = choice_of(id);
  return c.facts.family == Family::kAttention ? std::optional(class_of(c)) : std::nullopt;
}

std::vector<int> all_kernel_ids() {
  std::vector<int> ids;
  int id = 0;
  for (const FamilyFacts& f : kFamilies) {
    for (int i = 0; i < f.num_variants * kNumDTypes; ++i, ++id) {
      const bool is_f32_alone = f.family >= Family::kSampleGreedy;
      if (!is_f32_alone || i % kNumDTypes == static_cast<int>(DType::kF32)) ids.push_back(id);
    }
  }
  return ids;
}

int num_work_items(int id, const void* params, int num_work) {
  const Choice c = choice_of(id);
  const auto pieces = [&](int dim) { return num_work * ceil_div(dim, kSpanElems * c.facts.threads); };
  if (c.facts.family == Family::kActivation) return pieces(static_cast<const ActivationParams*>(params)->dim);
  if (c.facts.family == Family::kEmbedding) return pieces(static_cast<const EmbeddingParams*>(params)->dim);
  if (c.facts.family != Family::kLinear) return num_work;
  const auto& p = *static_cast<const LinearParams*>(params);
  const bool many = c.variant / 2 != 0;
  return many ? ceil_div(p.num_rows, kLinearManyRows) * ceil_div(p.out_dim, 64) : p.out_dim;  // few rows: columns are shared evenly
}

void set_attention_caps(const AttentionConfig& config, DeviceCaps& caps) {
  const AttentionTiles& t = config.tiles;
  caps.attention_rows = many_rows(t);
  caps.few_rows = t.few_keys > 0 ? kFewRows : 0;
  caps.invariant_rows = kFewRows;  // one arithmetic for every number of rows: that of few
  caps.attention_keys = std::max(t.keys, t.few_keys);
  caps.split_policy = config.split_policy;
  caps.has_pair_dot = true;
  caps.dot_error = 4;  // matrix units cut off what does not fit, and so add a bias; largest seen on an H200: 3.5
  caps.rounds_probs[static_cast<int>(DType::kF16)] = caps.rounds_probs[static_cast<int>(DType::kBF16)] = true;
}

}  // namespace quire
