// A library with the Lt interface, as small as it can be: f32 alone, one algorithm, in the caller's memory.
// Its numbers are those of kStubLt. It refuses products of kRefusedRows rows when it is asked for an
// algorithm, and fails those of kFailingRows when they are launched.
#include <cstdint>
#include <cstring>

namespace {

constexpr int kF32 = 7, kTranspose = 5, kRefused = 3, kFailed = 2, kRefusedRows = 33, kFailingRows = 34;
constexpr int kTransposeA = 0, kEpilogue = 2, kBias = 3, kBiasType = 4;
constexpr std::size_t kAlgorithmBytes = 24;
constexpr unsigned char kAlgorithm = 0x5a;

struct Layout {
  std::uint64_t rows, cols;
  std::int64_t leading;
};
struct Desc {
  int transpose_a = 0, bias_type = 0;
  unsigned epilogue = 0;
  const float* bias = nullptr;
};

template <class T>
int set(T& to, const void* value, std::size_t bytes) {
  if (bytes != sizeof to) return kFailed;
  std::memcpy(&to, value, bytes);
  return 0;
}

}  // namespace

extern "C" {

int stubLtCreate(void** handle) { return *handle = new int(0), 0; }
int stubLtDestroy(int* handle) { return delete handle, 0; }
int stubLtMatrixLayoutCreate(Layout** layout, int type, std::uint64_t rows, std::uint64_t cols,
                             std::int64_t leading) {
  if (type != kF32) return kFailed;
  *layout = new Layout{rows, cols, leading};
  return 0;
}
int stubLtMatrixLayoutDestroy(Layout* layout) { return delete layout, 0; }
int stubLtMatmulDescCreate(Desc** desc, int, int) { return *desc = new Desc, 0; }
int stubLtMatmulDescDestroy(Desc* desc) { return delete desc, 0; }
int stubLtMatmulDescSetAttribute(Desc* desc, int attribute, const void* value, std::size_t bytes) {
  switch (attribute) {
    case kTransposeA:
      return set(desc->transpose_a, value, bytes);
    case kEpilogue:
      return set(desc->epilogue, value, bytes);
    case kBias:
      return set(desc->bias, value, bytes);
    case kBiasType:
      return set(desc->bias_type, value, bytes);
    default:
      return kFailed;
  }
}
int stubLtMatmulPreferenceCreate(void** preference) { return *preference = new int(0), 0; }
int stubLtMatmulPreferenceDestroy(int* preference) { return delete preference, 0; }
int stubLtMatmulPreferenceSetAttribute(void*, int attribute, const void*, std::size_t bytes) {
  return attribute == 1 && bytes == 8 ? 0 : kFailed;
}
int stubLtMatmulAlgoGetHeuristic(void*, Desc*, Layout*, Layout* b, Layout*, Layout*, void*, int,
                                 unsigned char* result, int* num_found) {
  if (b->cols == kRefusedRows) return kRefused;
  std::memset(result, kAlgorithm, kAlgorithmBytes);
  std::memset(result + kAlgorithmBytes, 0, 32);
  *num_found = 1;
  return 0;
}

// Column-major: d = a^T b + bias.
int stubLtMatmul(void*, Desc* desc, const float* alpha, const float* a, Layout* a_layout, const float* b,
                 Layout* b_layout, const float* beta, const float*, Layout*, float* d, Layout* d_layout,
                 const unsigned char* algorithm, void*, std::size_t, void*) {
  const bool is_known =
      desc->transpose_a == kTranspose && *alpha == 1 && *beta == 0 && algorithm[0] == kAlgorithm;
  if (!is_known || d_layout->cols == kFailingRows) return kFailed;
  if (a_layout->rows != b_layout->rows || a_layout->cols != d_layout->rows ||
      b_layout->cols != d_layout->cols)
    return kFailed;
  for (std::uint64_t col = 0; col < d_layout->cols; ++col) {
    for (std::uint64_t row = 0; row < d_layout->rows; ++row) {
      float sum =
          desc->bias != nullptr && desc->epilogue == 4 && desc->bias_type == kF32 ? desc->bias[row] : 0;
      const float* of_a = a + static_cast<std::int64_t>(row) * a_layout->leading;
      const float* of_b = b + static_cast<std::int64_t>(col) * b_layout->leading;
      for (std::uint64_t k = 0; k < a_layout->rows; ++k) sum += of_a[k] * of_b[k];
      d[static_cast<std::int64_t>(col) * d_layout->leading + static_cast<std::int64_t>(row)] = sum;
    }
  }
  return 0;
}

}  // extern "C"
