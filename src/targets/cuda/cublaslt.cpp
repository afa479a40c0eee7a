#include "targets/cuda/cublaslt.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <map>
#include <vector>

#include "base/check.h"
#include "base/dynamic_library.h"
#include "tile/ranges.h"

namespace quire {
namespace {

constexpr const char* kUsualFolder = "/usr/local/cuda/lib64";
constexpr int kMajors[] = {13, 12};
constexpr std::size_t kMaxChoices = 8192;

// cudaDataType_t (library_types.h)
constexpr int kCudaR32F = 0, kCudaR16F = 2, kCudaR16Bf = 14;
// cublasComputeType_t: products and sums in f32
constexpr int kCompute32F = 68;
// cublasOperation_t
constexpr int kOpTranspose = 1;
// cublasLtMatmulDescAttributes_t
constexpr int kDescTransA = 3, kDescEpilogue = 7, kDescBiasPointer = 8, kDescBiasDataType = 26;
// cublasLtEpilogue_t
constexpr std::uint32_t kEpilogueBias = 4;
// cublasLtMatmulPreferenceAttributes_t
constexpr int kPrefMaxWorkspaceBytes = 1, kPrefMinAlignmentA = 5;  // B, C and D follow
// cublasStatus_t
constexpr int kNotSupported = 15;

// Descriptors are opaque to their users.
struct LayoutHandle;
struct MatmulHandle;
struct PreferenceHandle;
struct LibraryHandle;

struct Algorithm {  // cublasLtMatmulAlgo_t
  std::uint64_t words[8];
};
struct HeuristicResult {  // cublasLtMatmulHeuristicResult_t
  Algorithm algorithm;
  std::size_t workspace_bytes;
  int state;  // cublasStatus_t
  float waves_count;
  int reserved[4];
};

struct Functions {
  int (*create)(LibraryHandle** handle);
  int (*destroy)(LibraryHandle* handle);
  const char* (*get_status_string)(int status);
  int (*matmul)(LibraryHandle* handle, MatmulHandle* desc, const void* alpha, const void* a,
                LayoutHandle* a_desc, const void* b, LayoutHandle* b_desc, const void* beta, const void* c,
                LayoutHandle* c_desc, void* d, LayoutHandle* d_desc, const Algorithm* algorithm,
                void* workspace, std::size_t workspace_bytes, CuStreamHandle* stream);
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
};

void find_functions(const DynamicLibrary& lib, Functions& f) {
  lib.find("cublasLtCreate", f.create);
  lib.find("cublasLtDestroy", f.destroy);
  lib.find("cublasLtGetStatusString", f.get_status_string);
  lib.find("cublasLtMatmul", f.matmul);
  lib.find("cublasLtMatrixLayoutCreate", f.layout_create);
  lib.find("cublasLtMatrixLayoutDestroy", f.layout_destroy);
  lib.find("cublasLtMatmulDescCreate", f.desc_create);
  lib.find("cublasLtMatmulDescDestroy", f.desc_destroy);
  lib.find("cublasLtMatmulDescSetAttribute", f.desc_set_attribute);
  lib.find("cublasLtMatmulPreferenceCreate", f.preference_create);
  lib.find("cublasLtMatmulPreferenceDestroy", f.preference_destroy);
  lib.find("cublasLtMatmulPreferenceSetAttribute", f.preference_set_attribute);
  lib.find("cublasLtMatmulAlgoGetHeuristic", f.get_heuristic);
}

constexpr int cuda_type(DType dtype) {
  return dtype == DType::kF32 ? kCudaR32F : dtype == DType::kF16 ? kCudaR16F : kCudaR16Bf;
}

// The power of two, up to the 256 that the library takes for granted, that an address is a multiple of.
std::uint32_t alignment_of(const void* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  return address == 0 ? 256 : 1u << std::min(8, std::countr_zero(address));
}

struct Destroy {
  int (*layout)(LayoutHandle*);
  int (*desc)(MatmulHandle*);
  int (*preference)(PreferenceHandle*);
  void operator()(LayoutHandle* handle) const { layout(handle); }
  void operator()(MatmulHandle* handle) const { desc(handle); }
  void operator()(PreferenceHandle* handle) const { preference(handle); }
};
template <class Handle>
using Owned = std::unique_ptr<Handle, Destroy>;

// What an algorithm is chosen for: sizes, strides, types, alignments.
using ShapeKey = std::array<std::int64_t, 11>;

ShapeKey shape_key(const CublasLinear& problem, std::size_t workspace_bytes) {
  const LinearParams& p = problem.params;
  return {p.num_rows,
          p.in_dim,
          p.out_dim,
          p.x_stride,
          p.y_stride,
          static_cast<std::int64_t>(problem.dtype) * 4 + (problem.is_output_f32 ? 2 : 0) +
              (p.bias != nullptr ? 1 : 0),
          alignment_of(p.weight),
          alignment_of(p.x),
          alignment_of(p.y),
          alignment_of(p.bias),
          static_cast<std::int64_t>(workspace_bytes)};
}

// One product's shape: descriptors, and the algorithm if there is one.
struct Choice {
  Owned<MatmulHandle> desc;
  Owned<LayoutHandle> weight, x, y;
  Algorithm algorithm{};
  bool is_supported = false;
};

}  // namespace

struct CublasLt::Impl {
  explicit Impl(DynamicLibrary lib) : library(std::move(lib)) {
    find_functions(library, call);
    destroy = {call.layout_destroy, call.desc_destroy, call.preference_destroy};
  }
  ~Impl() {
    choices.clear();
    if (handle != nullptr) call.destroy(handle);
  }

  void check(int status, const char* attempt, const LinearParams& p) const {
    QUIRE_CHECK_KIND(kInternal, status == 0, "cublasLt: cannot {} for [{}, {}] x [{}, {}]^T: {}", attempt,
                     p.num_rows, p.in_dim, p.out_dim, p.in_dim, call.get_status_string(status));
  }

  Owned<LayoutHandle> make_layout(int type, int rows, int cols, long leading, const LinearParams& p) const {
    LayoutHandle* layout = nullptr;
    check(call.layout_create(&layout, type, static_cast<std::uint64_t>(rows),
                             static_cast<std::uint64_t>(cols), leading),
          "describe a matrix", p);
    return {layout, destroy};
  }

  Owned<MatmulHandle> make_desc(const CublasLinear& problem) const {
    const LinearParams& p = problem.params;
    MatmulHandle* raw = nullptr;
    check(call.desc_create(&raw, kCompute32F, kCudaR32F), "describe a product", p);
    Owned<MatmulHandle> desc(raw, destroy);
    const std::int32_t transposed = kOpTranspose;
    check(call.desc_set_attribute(raw, kDescTransA, &transposed, sizeof transposed), "transpose the weights",
          p);
    if (p.bias == nullptr) return desc;
    const std::int32_t bias_type = cuda_type(problem.dtype);
    check(call.desc_set_attribute(raw, kDescEpilogue, &kEpilogueBias, sizeof kEpilogueBias), "add a bias", p);
    check(call.desc_set_attribute(raw, kDescBiasDataType, &bias_type, sizeof bias_type), "set the bias' type",
          p);
    check(call.desc_set_attribute(raw, kDescBiasPointer, &p.bias, sizeof p.bias), "set the bias", p);
    return desc;
  }

  void choose_algorithm(Choice& choice, const LinearParams& p, std::size_t workspace_bytes) const {
    PreferenceHandle* raw = nullptr;
    check(call.preference_create(&raw), "make a preference", p);
    const Owned<PreferenceHandle> preference(raw, destroy);
    const std::uint64_t most = workspace_bytes;
    check(call.preference_set_attribute(raw, kPrefMaxWorkspaceBytes, &most, sizeof most),
          "limit the workspace", p);
    const void* const operands[] = {p.weight, p.x, p.y, p.y};  // A, B, C, D
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t alignment = alignment_of(operands[i]);
      check(call.preference_set_attribute(raw, kPrefMinAlignmentA + i, &alignment, sizeof alignment),
            "state an alignment", p);
    }
    HeuristicResult result{};
    int num_found = 0;
    const int status = call.get_heuristic(handle, choice.desc.get(), choice.weight.get(), choice.x.get(),
                                          choice.y.get(), choice.y.get(), raw, 1, &result, &num_found);
    if (status == kNotSupported) return;
    check(status, "choose an algorithm", p);
    choice.is_supported = num_found > 0 && result.state == 0 && result.workspace_bytes <= workspace_bytes;
    choice.algorithm = result.algorithm;
  }

  // The library's matrices are column-major, so a row-major [rows, cols] is to it [cols, rows]. Its product
  // is y^T [out_dim, num_rows] = (W^T)^T x^T, with A = W^T transposed, B = x^T, C = D = y^T; the bias has one
  // value a row of D.
  Choice& choice_for(const CublasLinear& problem, std::size_t workspace_bytes) {
    const ShapeKey key = shape_key(problem, workspace_bytes);
    if (const auto found = choices.find(key); found != choices.end()) return found->second;
    if (choices.size() >= kMaxChoices) choices.clear();
    const LinearParams& p = problem.params;
    const int type = cuda_type(problem.dtype);
    Choice choice;
    choice.desc = make_desc(problem);
    choice.weight = make_layout(type, p.in_dim, p.out_dim, round_up(p.in_dim, static_cast<int>(16 / dtype_bytes(problem.dtype))), p);
    choice.x = make_layout(type, p.in_dim, p.num_rows, p.x_stride, p);
    choice.y = make_layout(problem.is_output_f32 ? kCudaR32F : type, p.out_dim, p.num_rows, p.y_stride, p);
    choose_algorithm(choice, p, workspace_bytes);
    return choices.emplace(key, std::move(choice)).first->second;
  }

  DynamicLibrary library;
  Functions call{};
  Destroy destroy{};
  LibraryHandle* handle = nullptr;
  std::map<ShapeKey, Choice> choices;
};

CublasLt::CublasLt(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CublasLt::~CublasLt() = default;

std::unique_ptr<CublasLt> CublasLt::try_open(const std::string& path, int max_major) {
  std::vector<std::string> names;
  for (const int major : kMajors) {
    if (major <= max_major) names.push_back(fmt::format("libcublasLt.so.{}", major));
  }
  if (names.empty()) return nullptr;
  try {
    auto impl = std::make_unique<Impl>(DynamicLibrary::open(library_names(path, names, kUsualFolder)));
    if (impl->call.create(&impl->handle) != 0) return nullptr;
    return std::unique_ptr<CublasLt>(new CublasLt(std::move(impl)));
  } catch (const Error&) {
    return nullptr;
  }
}

bool CublasLt::can_do(const CublasLinear& problem) const {
  // The documentation's table of types for cublasLtMatmul has no 16-bit bias beside an f32 output.
  return problem.params.bias == nullptr || !problem.is_output_f32 || problem.dtype == DType::kF32;
}

bool CublasLt::run(const CublasLinear& problem, const CublasResources& resources) {
  if (!can_do(problem)) return false;
  const LinearParams& p = problem.params;
  Choice& choice = impl_->choice_for(problem, resources.workspace_bytes);
  if (!choice.is_supported) return false;
  const Functions& call = impl_->call;
  if (p.bias != nullptr) {
    impl_->check(call.desc_set_attribute(choice.desc.get(), kDescBiasPointer, &p.bias, sizeof p.bias),
                 "set the bias", p);
  }
  const float one = 1, zero = 0;
  impl_->check(call.matmul(impl_->handle, choice.desc.get(), &one, p.weight, choice.weight.get(), p.x,
                           choice.x.get(), &zero, p.y, choice.y.get(), p.y, choice.y.get(), &choice.algorithm,
                           resources.workspace, resources.workspace_bytes, resources.stream),
               "launch the product", p);
  return true;
}

}  // namespace quire
