// How cached keys and values, and weights, are stored: plain values, which say what a kernel has to read.
#pragma once

#include <compare>

#include "base/dtype.h"

namespace quire {

// Elements of a query's and a key's head, and of a value's and an output's.
struct HeadShape {
  int qk = 0, vo = 0;
  auto operator<=>(const HeadShape&) const = default;
};
constexpr HeadShape kMaxHeadShape{576, 512};  // that there are kernels for

// What stored numbers are multiplied by when they are read.
enum class ScaleKind : std::uint8_t {
  kNone,
  kPerTokenHead,  // one f32 for the key and one for the value of each token and KV head, behind both in the
                  // page
};

struct KvFormat {
  DType k = DType::kBF16, v = DType::kBF16;
  ScaleKind scale = ScaleKind::kNone;
  bool v_is_prefix_of_k = false;  // values are the first elements of keys, stored once
  auto operator<=>(const KvFormat&) const = default;
};
constexpr KvFormat plain_kv(DType dtype) { return {dtype, dtype}; }

struct WeightFormat {
  DType type = DType::kBF16;
  auto operator<=>(const WeightFormat&) const = default;
};

}  // namespace quire
