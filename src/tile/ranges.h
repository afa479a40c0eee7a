// Integer arithmetic and ranges that kernels and host share.
#pragma once

namespace quire {

constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }
constexpr int round_up(int a, int b) { return ceil_div(a, b) * b; }

// Elements [begin, end) of something.
struct Range {
  int begin, end;
  constexpr int size() const { return end - begin; }
};

// The range [0, num_elems) in `num` pieces. The first `num_larger` have size + 1 elements and the others
// `size`, of which the last may have fewer.
struct Pieces {
  int num_elems, num, size, num_larger;
  constexpr int begin(int i) const { return i * size + (i < num_larger ? i : num_larger); }
  constexpr Range at(int i) const { return {begin(i), begin(i + 1) < num_elems ? begin(i + 1) : num_elems}; }
};
constexpr Pieces pieces_of_size(int num_elems, int size) {
  return {num_elems, ceil_div(num_elems, size), size, 0};
}
constexpr Pieces pieces_by_number(int num_elems, int num) {
  return {num_elems, num, num_elems / num, num_elems % num};
}

}  // namespace quire
