#include "targets/jit/kernel_forms.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <iterator>

#include "base/check.h"
#include "kernels/params.h"
#include "tile/ranges.h"

namespace quire {
namespace {

constexpr int kShortRow = 512;  // elements: a row for one warp

// Forms of attention: the kind of batch, and whether heads and rows are exact. Of linear layers: few or many
// rows. Of elementwise kernels: whole or ragged spans, and of norms long or short rows.
constexpr int kExact = 1, kMany = 1, kRagged = 1, kShort = 2;

// Whether an address is a multiple of 16.
bool is_aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

HeadShape bound_of(HeadShape heads) { return heads_of_bound(head_dim_bound(std::max(heads.qk, heads.vo))); }

// Whether heads have exactly the compiled size and rows consist of aligned pieces of 16 bytes, so that the
// kernel needs no code for edges.
bool is_exact(const AttentionParams& p, const AttentionVariant& compiled) {
  const long piece = 16 / static_cast<long>(dtype_bytes(compiled.q));
  return compiled.heads == HeadShape{p.head_dim_qk, p.head_dim_vo} && p.q_token_stride % piece == 0 &&
         p.o_token_stride % piece == 0 && is_aligned(p.q) && is_aligned(p.o);
}

// Whether lengths and strides of rows, in elements, and their addresses are all multiples of a span.
bool are_whole(std::initializer_list<long> elems, std::initializer_list<const void*> rows) {
  return std::all_of(elems.begin(), elems.end(), [](long n) { return n % kSpanElems == 0; }) &&
         std::all_of(rows.begin(), rows.end(), is_aligned);
}

int form_of(const AttentionVariant& v, const void* params) {
  const auto& p = *static_cast<const AttentionParams*>(params);
  const BatchKind kind = p.has_few == 0    ? BatchKind::kPrefill
                         : p.has_many == 0 ? BatchKind::kDecode
                                           : BatchKind::kMixed;
  return 2 * static_cast<int>(kind) + (is_exact(p, v) ? kExact : 0);
}

int form_of(const LinearVariant&, const void* params) {
  const auto& p = *static_cast<const LinearParams*>(params);
  return p.num_rows <= kFewRows && p.batch_invariant == 0 ? 0 : kMany;
}

int form_of(const RowVariant& v, const void* params) {
  switch (v.kernel) {
    case KernelName::kRmsNorm: {
      const auto& p = *static_cast<const RmsNormParams*>(params);
      const bool whole =
          are_whole({p.dim, p.x_stride, p.y_stride, p.residual_stride}, {p.x, p.y, p.residual, p.weight});
      return (p.dim <= kShortRow ? kShort : 0) + (whole ? 0 : kRagged);
    }
    case KernelName::kRope: {
      const auto& p = *static_cast<const RopeParams*>(params);
      return are_whole({p.head_dim / 2, p.token_stride}, {p.x, p.cos_sin}) ? 0 : kRagged;
    }
    case KernelName::kActivation: {
      const auto& p = *static_cast<const ActivationParams*>(params);
      return are_whole({p.dim}, {p.gate_up, p.y}) ? 0 : kRagged;
    }
    case KernelName::kEmbedding: {
      const auto& p = *static_cast<const EmbeddingParams*>(params);
      return are_whole({p.dim}, {p.table, p.y}) ? 0 : kRagged;
    }
    case KernelName::kSampleGreedy: {
      const auto& p = *static_cast<const SampleGreedyParams*>(params);
      return are_whole({p.vocab_size, p.part_len}, {p.logits}) ? 0 : kRagged;
    }
    default:
      return 0;
  }
}

int num_forms_of(const AttentionVariant&) { return 2 * kNumBatchKinds; }
int num_forms_of(const LinearVariant&) { return 2; }
int num_forms_of(const RowVariant& v) {
  switch (v.kernel) {
    case KernelName::kRmsNorm:
      return 4;
    case KernelName::kRope:
    case KernelName::kActivation:
    case KernelName::kEmbedding:
    case KernelName::kSampleGreedy:
      return 2;
    default:
      return 1;
  }
}

std::string kernel_text(const KernelFacts& facts, const TileRules& rules, const std::string& before,
                        const std::string& kernel, const KernelShape& shape) {
  const std::string header = facts.header,
                    folder = header.find('/') == std::string::npos ? rules.tile_folder() : "";
  return fmt::format(R"(#include "{}{}"
namespace quire {{
namespace QUIRE_TARGET {{
{}{} {{
  Program program(state);
  {}::run(program, p);
}}
}}
}}
)",
                     folder, header, before,
                     rules.entry_head(facts.params, shape.threads, shape.blocks_per_unit), kernel);
}

JitKernel make_attention(const KernelInstance& instance, const TileRules& rules,
                         const AttentionTiles* given) {
  static constexpr const char* kKinds[] = {"Few, Few", "Many, Many", "Many, Few"};  // by BatchKind
  static constexpr const char* kKindNames[] = {"_few", "_many", ""};
  const auto& v = std::get<AttentionVariant>(instance.variant);
  const AttentionClass problem = *attention_class(instance);
  const AttentionTiles t = given != nullptr ? *given : rules.heuristics(problem).tiles;
  const auto kind = static_cast<std::size_t>(problem.kind);
  const bool has_producer = t.producer_registers > 0;
  const HeadShape bound = bound_of(v.heads), heads = has_producer ? v.heads : bound;
  const bool exact = instance.form % 2 == kExact && heads == v.heads;
  const int value_cols = std::min(heads.vo, rules.value_cols(problem));
  // Code for many rows leaves few registers, and even fewer if the kernel has both forms.
  const int parts_at_once = problem.kind == BatchKind::kDecode                    ? 4
                            : problem.kind == BatchKind::kPrefill && has_producer ? 2
                                                                                  : 1;
  const auto config = [&](const char* name, int rows, int keys) {
    return fmt::format(
        "struct {} {{ static constexpr int kRows = {}, kKeys = {}, kDimQk = {}, kDimVo = {}, "
        "kValueParts = {}, kPartsAtOnce = {}; static constexpr unsigned kMods = {}; }};\n",
        name, rows, keys, heads.qk, value_cols, ceil_div(heads.vo, value_cols), parts_at_once, v.mods);
  };
  const std::string few =
      t.few_keys > 0 ? config("Few", kFewRows, t.few_keys) : config("Few", many_rows(t), t.keys);
  const std::string elements =
      fmt::format("{}, KvTypes<{}, {}>, {}", facts_of(v.q).element, facts_of(v.kv.k).element,
                  facts_of(v.kv.v).element, facts_of(v.o).element);
  JitKernel k;
  k.shape = rules.attention_shape(problem, t, exact);
  k.name = fmt::format("attention{}_{}_d{}{}{}{}", kKindNames[kind], to_string(problem.dtype), heads.qk,
                       heads == bound || heads.qk == heads.vo ? "" : fmt::format("_{}", heads.vo),
                       exact ? "" : "_ragged", v.mods != 0 ? "_transforms" : "");
  k.source = kernel_text(facts_of(KernelName::kAttention), rules, config("Many", many_rows(t), t.keys) + few,
                         fmt::format("Attention<{}, {}>", elements, kKinds[kind]), k.shape);
  k.persistent = true;
  return k;
}

JitKernel make_linear(const KernelInstance& instance, const TileRules& rules) {
  const auto& v = std::get<LinearVariant>(instance.variant);
  const bool many = instance.form == kMany;
  const LinearTiles t = rules.linear(v.x, many);
  JitKernel k;
  k.shape = t.shape;
  k.name = fmt::format("linear_{}_{}{}", many ? "many" : "few", to_string(v.x), v.y != v.x ? "_to_f32" : "");
  k.source = kernel_text(
      facts_of(KernelName::kLinear), rules,
      fmt::format("struct Tiles {{ static constexpr int kRows = {}, kCols = {}, kDepth = {}; }};\n", t.rows,
                  t.cols, t.depth),
      fmt::format("Linear<PlainInput<{0}>, PlainWeight<{1}>, BiasOutput<{0}, {2}>, Tiles>",
                  facts_of(v.x).element, facts_of(v.weight.type).element, facts_of(v.y).element),
      k.shape);
  k.persistent = true;
  if (many) k.tile_rows = t.rows, k.tile_cols = t.cols;
  return k;
}

int threads_of(const RowVariant& v, int form) {
  switch (v.kernel) {
    case KernelName::kMergeState:
      return 128;
    case KernelName::kTakeTokens:
      return 32;
    case KernelName::kRmsNorm:
      return form / kShort == 1 ? 32 : 256;  // one warp for short rows, such as those of a head
    default:
      return 256;
  }
}

JitKernel make_row_kernel(const KernelInstance& instance, const TileRules& rules) {
  const auto& v = std::get<RowVariant>(instance.variant);
  const KernelFacts& facts = facts_of(v.kernel);
  const bool ragged = num_forms(instance.variant) > 1 && instance.form % 2 == kRagged;
  JitKernel k;
  k.shape = rules.row_shape(facts.name, v.dtype, threads_of(v, instance.form),
                            ragged || num_forms(instance.variant) == 1);
  k.name = fmt::format("{}_{}{}{}", facts.name, to_string(v.dtype), ragged ? "_ragged" : "",
                       v.kernel == KernelName::kRmsNorm && instance.form / kShort == 1 ? "_short" : "");
  const std::string text = facts.form == KernelForm::kTyped
                               ? fmt::format("{}<{}>", facts.text, facts_of(v.dtype).element)
                               : facts.text;
  k.source = kernel_text(facts, rules, "", text, k.shape);
  return k;
}

}  // namespace

KernelVariant compiled_variant(const KernelVariant& variant, const TileRules& rules) {
  if (const auto* a = std::get_if<AttentionVariant>(&variant)) {
    common_type(*a);
    const HeadShape bound = bound_of(a->heads);
    QUIRE_CHECK_KIND(kUnsupported, a->heads.qk <= bound.qk && a->heads.vo <= bound.vo,
                     "no attention kernel for heads of {}/{} elements, the largest are {}/{}", a->heads.qk,
                     a->heads.vo, bound.qk, bound.vo);
    AttentionVariant compiled = *a;
    compiled.heads = rules.compiled_heads(a->q, a->heads);
    compiled.mods = a->mods != 0 ? kAllScoreMods : 0;
    return compiled;
  }
  if (const auto* linear = std::get_if<LinearVariant>(&variant)) common_type(*linear);
  return variant;
}

int num_forms(const KernelVariant& variant) {
  return std::visit([](const auto& v) { return num_forms_of(v); }, variant);
}

int form_of(const KernelVariant& variant, const void* params) {
  return std::visit([&](const auto& v) { return form_of(v, params); }, variant);
}

std::optional<AttentionClass> attention_class(const KernelInstance& instance) {
  const auto* v = std::get_if<AttentionVariant>(&instance.variant);
  if (v == nullptr) return {};
  return AttentionClass{v->q, head_dim_bound(std::max(v->heads.qk, v->heads.vo)),
                        static_cast<BatchKind>(instance.form / 2)};
}

JitKernel make_kernel(const KernelInstance& instance, const TileRules& rules, const AttentionTiles* tiles) {
  const KernelName name = kernel_of(instance.variant);
  JitKernel k = name == KernelName::kAttention ? make_attention(instance, rules, tiles)
                : name == KernelName::kLinear  ? make_linear(instance, rules)
                                               : make_row_kernel(instance, rules);
  k.params_bytes = facts_of(name).params_bytes;
  const std::vector<std::string> common = rules.common_options();
  k.shape.options.insert(k.shape.options.end(), common.begin(), common.end());
  return k;
}

std::vector<KernelInstance> all_instances(const TileRules& rules, std::span<const HeadShape> heads) {
  std::vector<HeadShape> all_heads;
  for (const int head_dim : kHeadDimBounds) all_heads.push_back(heads_of_bound(head_dim));
  all_heads.insert(all_heads.end(), heads.begin(), heads.end());
  std::vector<KernelVariant> variants;
  for (const DTypeFacts& e : kDTypeFacts) {
    for (const HeadShape& h : all_heads) {
      for (const unsigned mods : {0u, kAllScoreMods}) {
        const KernelVariant variant =
            compiled_variant(AttentionVariant{e.dtype, e.dtype, plain_kv(e.dtype), h, mods}, rules);
        if (std::find(variants.begin(), variants.end(), variant) == variants.end())
          variants.push_back(variant);
      }
    }
    variants.push_back(LinearVariant{e.dtype, {e.dtype}, e.dtype});
    if (e.dtype != DType::kF32) variants.push_back(LinearVariant{e.dtype, {e.dtype}, DType::kF32});
  }
  for (int i = 0; i < kNumKernels; ++i) {
    const auto name = static_cast<KernelName>(i);
    if (facts_of(name).form == KernelForm::kTiled) continue;
    for (const DTypeFacts& e : kDTypeFacts) {
      if (facts_of(name).form == KernelForm::kTyped || e.dtype == DType::kF32)
        variants.push_back(RowVariant{name, e.dtype});
    }
  }
  std::vector<KernelInstance> instances;
  for (const KernelVariant& variant : variants) {
    for (int form = 0; form < num_forms(variant); ++form) instances.push_back({variant, form});
  }
  return instances;
}

int num_work_items(KernelName name, const JitKernel& kernel, const void* params, int num_work) {
  const auto pieces = [&](int dim) { return num_work * ceil_div(dim, kSpanElems * kernel.shape.threads); };
  if (name == KernelName::kActivation) return pieces(static_cast<const ActivationParams*>(params)->dim);
  if (name == KernelName::kEmbedding) return pieces(static_cast<const EmbeddingParams*>(params)->dim);
  if (name != KernelName::kLinear) return num_work;
  const auto& p = *static_cast<const LinearParams*>(params);
  if (kernel.tile_rows == 0) return p.out_dim;
  return ceil_div(p.num_rows, kernel.tile_rows) * ceil_div(p.out_dim, kernel.tile_cols);
}

}  // namespace quire
