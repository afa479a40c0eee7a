// Linear layers by a library with the Lt interface. The declarations are our own, of only those functions
// that are used (cuBLAS documentation, chapter "Using the cuBLASLt API").
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <map>

#include "base/check.h"
#include "base/dynamic_library.h"
#include "targets/jit/gpu_memory.h"
#include "targets/jit/vendor_linear.h"
#include "tile/ranges.h"

namespace quire {
namespace {

constexpr std::size_t kWorkspaceBytes = 32u << 20;
constexpr std::size_t kMaxChoices = 8192;

// Descriptors are opaque to their users.
struct LayoutHandle;
struct MatmulHandle;
struct PreferenceHandle;
struct LibraryHandle;

// An algorithm, followed by what the library reports about it.
struct HeuristicResult {
  struct Verdict {
    std::size_t workspace_bytes;
    int state;  // a status
    float waves_count;
    int reserved[4];
  };
  alignas(8) std::byte bytes[kMostAlgorithmBytes + sizeof(Verdict)] = {};

  Verdict verdict(const LtDialect& dialect) const {
    Verdict verdict;
    std::memcpy(&verdict, bytes + dialect.algorithm_bytes, sizeof verdict);
    return verdict;
  }
};

struct Functions {
  int (*create)(LibraryHandle** handle);
  int (*destroy)(LibraryHandle* handle);
  const char* (*get_status_string)(int status) = nullptr;  // where there is such
  int (*matmul)(LibraryHandle* handle, MatmulHandle* desc, const void* alpha, const void* a,
                LayoutHandle* a_desc, const void* b, LayoutHandle* b_desc, const void* beta, const void* c,
                LayoutHandle* c_desc, void* d, LayoutHandle* d_desc, const void* algorithm, void* workspace,
                std::size_t workspace_bytes, void* queue);
  int (*layout_create)(LayoutHandle** layout, int type, std::uint64_t rows, std::uint64_t cols,
                       std::int64_t leading);
  int (*layout_destroy)(LayoutHandle* layout);
  int (*desc_create)(MatmulHandle** desc, int compute_type, int scale_type);
  int (*desc_destroy)(MatmulHandle* desc);
  int (*desc_set_attribute)(MatmulHandle* desc, int attribute, const void* value, std::size_t value_bytes);
  int (*preference_create)(PreferenceHandle** preference);
  int (*preference_destroy)(PreferenceHandle* preference);
  int (*preference_set_attribute)(PreferenceHandle* preference, int attribute, const void* value,
                                  std::size_t value_bytes);
  int (*get_heuristic)(LibraryHandle* handle, MatmulHandle* desc, LayoutHandle* a, LayoutHandle* b,
                       LayoutHandle* c, LayoutHandle* d, PreferenceHandle* preference, int num_wanted,
                       HeuristicResult* results, int* num_found);

  Functions(const DynamicLibrary& library, const LtDialect& dialect) {
    const auto find = [&](const char* name, auto& function) {
      library.find((std::string(dialect.prefix) + name).c_str(), function);
    };
    if (dialect.has_status_string) find("GetStatusString", get_status_string);
    find("Create", create);
    find("Destroy", destroy);
    find("Matmul", matmul);
    find("MatrixLayoutCreate", layout_create);
    find("MatrixLayoutDestroy", layout_destroy);
    find("MatmulDescCreate", desc_create);
    find("MatmulDescDestroy", desc_destroy);
    find("MatmulDescSetAttribute", desc_set_attribute);
    find("MatmulPreferenceCreate", preference_create);
    find("MatmulPreferenceDestroy", preference_destroy);
    find("MatmulPreferenceSetAttribute", preference_set_attribute);
    find("MatmulAlgoGetHeuristic", get_heuristic);
  }
};

// The alignment of an address, up to 256, which the library assumes by default.
std::uint32_t alignment_of(const void* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  return address == 0 ? 256 : 1u << std::min(8, std::countr_zero(address));
}

template <class Handle>
using Owned = std::unique_ptr<Handle, int (*)(Handle*)>;

// What the choice of an algorithm depends on: sizes, strides, types, alignments.
using ShapeKey = std::array<std::int64_t, 11>;

ShapeKey shape_key(const LinearVariant& v, const LinearParams& p) {
  return {p.num_rows,
          p.in_dim,
          p.out_dim,
          p.x_stride,
          p.y_stride,
          static_cast<std::int64_t>(v.x),
          static_cast<std::int64_t>(v.y) * 2 + (p.bias != nullptr ? 1 : 0),
          alignment_of(p.weight),
          alignment_of(p.x),
          alignment_of(p.y),
          alignment_of(p.bias)};
}

// The descriptors of one shape, and its algorithm if there is one.
struct Choice {
  Owned<MatmulHandle> desc;
  Owned<LayoutHandle> weight, x, y;
  HeuristicResult result{};
  bool is_supported = false;
};

class LtLinear : public VendorLinear {
 public:
  LtLinear(DynamicLibrary library, const LtDialect& dialect, std::shared_ptr<GpuApi> api)
      : library_(std::move(library)), dialect_(dialect), call_(library_, dialect), api_(std::move(api)) {
    const int status = call_.create(&handle_);
    QUIRE_CHECK_KIND(kUnsupported, status == 0, "{} does not start: {}", library_.path().string(),
                     words(status));
  }
  ~LtLinear() override {
    choices_.clear();
    call_.destroy(handle_);
  }
  LtLinear(const LtLinear&) = delete;
  LtLinear& operator=(const LtLinear&) = delete;

  void allocate_workspace() { workspace_ = allocate_gpu(api_, kWorkspaceBytes); }

  // The documentation's table of types for cublasLtMatmul has no 16-bit bias beside an f32 output.
  bool can_do(const LinearVariant& v, const LinearParams& p) override {
    return p.bias == nullptr || v.y != DType::kF32 || v.x == DType::kF32;
  }
  bool run(const LinearVariant& variant, const LinearParams& params) override;

 private:
  std::string words(int status) const {
    return call_.get_status_string == nullptr ? fmt::format("status {}", status)
                                              : call_.get_status_string(status);
  }
  void check(int status, const char* attempt, const LinearParams& p) const {
    QUIRE_CHECK_KIND(kInternal, status == 0, "{}: cannot {} for [{}, {}] x [{}, {}]^T: {}", dialect_.prefix,
                     attempt, p.num_rows, p.in_dim, p.out_dim, p.in_dim, words(status));
  }
  int type_of(DType dtype) const {
    return dtype == DType::kF32 ? dialect_.f32 : dtype == DType::kF16 ? dialect_.f16 : dialect_.bf16;
  }
  Owned<LayoutHandle> make_layout(DType dtype, int rows, int cols, long leading,
                                  const LinearParams& p) const {
    LayoutHandle* layout = nullptr;
    check(call_.layout_create(&layout, type_of(dtype), static_cast<std::uint64_t>(rows),
                              static_cast<std::uint64_t>(cols), leading),
          "describe a matrix", p);
    return {layout, call_.layout_destroy};
  }
  template <class T>
  void set(MatmulHandle* desc, int attribute, const T& value, const char* attempt,
           const LinearParams& p) const {
    check(call_.desc_set_attribute(desc, attribute, &value, sizeof value), attempt, p);
  }
  Owned<MatmulHandle> make_desc(const LinearVariant& v, const LinearParams& p) const;
  void choose_algorithm(Choice& choice, const LinearParams& p) const;
  Choice& choice_for(const LinearVariant& v, const LinearParams& p);

  const DynamicLibrary library_;
  const LtDialect dialect_;
  const Functions call_;
  const std::shared_ptr<GpuApi> api_;
  std::unique_ptr<Buffer> workspace_;  // for one product at a time
  LibraryHandle* handle_ = nullptr;
  std::map<ShapeKey, Choice> choices_;
};

Owned<MatmulHandle> LtLinear::make_desc(const LinearVariant& v, const LinearParams& p) const {
  MatmulHandle* raw = nullptr;
  check(call_.desc_create(&raw, dialect_.compute_f32, dialect_.f32), "describe a product", p);
  Owned<MatmulHandle> desc(raw, call_.desc_destroy);
  set(raw, dialect_.desc_transpose_a, dialect_.transpose, "transpose the weights", p);
  if (p.bias == nullptr) return desc;
  set(raw, dialect_.desc_epilogue, dialect_.epilogue_bias, "add a bias", p);
  set(raw, dialect_.desc_bias_type, type_of(v.x), "set the bias' type", p);
  set(raw, dialect_.desc_bias, p.bias, "set the bias", p);
  return desc;
}

void LtLinear::choose_algorithm(Choice& choice, const LinearParams& p) const {
  PreferenceHandle* raw = nullptr;
  check(call_.preference_create(&raw), "ask for an algorithm", p);
  const Owned<PreferenceHandle> preference(raw, call_.preference_destroy);
  const auto ask = [&](int attribute, auto value) {
    check(call_.preference_set_attribute(raw, attribute, &value, sizeof value), "say what is wanted", p);
  };
  ask(dialect_.max_workspace, std::uint64_t{workspace_->bytes()});
  const void* const operands[] = {p.weight, p.x, p.y, p.y};  // A, B, C, D
  for (int i = 0; i < 4 && dialect_.min_alignment >= 0; ++i) {
    ask(dialect_.min_alignment + i, alignment_of(operands[i]));
  }
  int num_found = 0;
  const int status = call_.get_heuristic(handle_, choice.desc.get(), choice.weight.get(), choice.x.get(),
                                         choice.y.get(), choice.y.get(), raw, 1, &choice.result, &num_found);
  if (status == dialect_.not_supported) return;
  check(status, "choose an algorithm", p);
  const auto verdict = choice.result.verdict(dialect_);
  choice.is_supported = num_found > 0 && verdict.state == 0 && verdict.workspace_bytes <= workspace_->bytes();
}

// The library's matrices are column-major, so a row-major [rows, cols] is to it [cols, rows]. Its product is
// y^T [out_dim, num_rows] = (W^T)^T x^T, with A = W^T transposed, B = x^T, C = D = y^T; the bias has one
// value a row of D.
Choice& LtLinear::choice_for(const LinearVariant& v, const LinearParams& p) {
  const ShapeKey key = shape_key(v, p);
  if (const auto found = choices_.find(key); found != choices_.end()) return found->second;
  if (choices_.size() >= kMaxChoices) choices_.clear();
  const long stride = round_up(p.in_dim, static_cast<int>(16 / dtype_bytes(v.x)));
  Choice choice{make_desc(v, p), make_layout(v.x, p.in_dim, p.out_dim, stride, p),
                make_layout(v.x, p.in_dim, p.num_rows, p.x_stride, p),
                make_layout(v.y, p.out_dim, p.num_rows, p.y_stride, p)};
  choose_algorithm(choice, p);
  return choices_.emplace(key, std::move(choice)).first->second;
}

bool LtLinear::run(const LinearVariant& variant, const LinearParams& p) {
  if (!can_do(variant, p)) return false;
  const Choice& choice = choice_for(variant, p);
  if (!choice.is_supported) return false;
  if (p.bias != nullptr) set(choice.desc.get(), dialect_.desc_bias, p.bias, "set the bias", p);
  const float one = 1, zero = 0;
  check(call_.matmul(handle_, choice.desc.get(), &one, p.weight, choice.weight.get(), p.x, choice.x.get(),
                     &zero, p.y, choice.y.get(), p.y, choice.y.get(), choice.result.bytes, workspace_->data(),
                     workspace_->bytes(), api_->queue()),
        "launch the product", p);
  return true;
}

}  // namespace

std::unique_ptr<VendorLinear> try_open_lt(std::span<const std::string> names, const LtDialect& dialect,
                                          std::shared_ptr<GpuApi> api) {
  std::unique_ptr<LtLinear> library;
  try {
    library = std::make_unique<LtLinear>(DynamicLibrary::open(names), dialect, std::move(api));
  } catch (const Error&) {
    return nullptr;
  }
  library->allocate_workspace();
  return library;
}

}  // namespace quire
