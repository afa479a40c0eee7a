// What the matrix instructions compute, as plain functions over the operands of a warp's 32 lanes. Fragment
// layouts: PTX ISA, "Matrix fragments for mma.m16n8k16", "ldmatrix", "wgmma register fragments", "shared
// memory matrix layout".
//
// Arithmetic: products of 16-bit elements are exact in f32; a sum takes them one after the other by rising k,
// starting from c, each addition rounded to nearest. Hardware adds several at a time and rounds differently,
// within the same error bound.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "targets/emulator/lane_calls.h"

namespace quire {

constexpr int kWarpLanes = 32;
template <class T>
using OfLanes = std::array<T, kWarpLanes>;

// mma.m16n8k16: c[16, 8] += a[16, 16] b[16, 8].
struct StepOperands {
  float* c;           // [4]
  const unsigned* a;  // [4]
  unsigned b[2];
};
void multiply_fragments(emulator::Element16 type, const OfLanes<StepOperands*>& lanes);

// ldmatrix.x4 [.trans]: `row` of lane l is row l % 8 of matrix l / 8, 16 bytes.
struct MatrixOperands {
  const void* row;
  unsigned* r;  // [4]
};
void load_fragments(bool transposed, const OfLanes<MatrixOperands*>& lanes);

// Where element (n, k) of a wgmma's right operand [N, 16] lies: bytes from the start of shared memory.
// Swizzle modes of the descriptor: 128, 64 and 32 bytes; without swizzle the canonical 8 x 16-byte cores.
// `is_transposed`: n runs along the rows.
struct MatrixDescriptor {
  std::size_t start, leading_bytes, stride_bytes;
  int swizzle_bytes;  // 128, 64, 32, or 16: none

  static MatrixDescriptor decode(std::uint64_t bits);
  std::size_t offset_of(int n, int k, bool is_transposed) const;
};

// One warp's part of wgmma.m64nNk16: its 16 rows of c [16, N] = (adds ? c : 0) + a[16, 16] right^T with
// right [64, 16].
struct WarpgroupOperands {
  float* c;           // [N / 8][4]
  const unsigned* a;  // [4]
};
using RightOperand = std::vector<std::array<float, 16>>;  // N, a multiple of 8
void multiply_warpgroup_rows(emulator::Element16 type, bool adds, const RightOperand& right,
                             const OfLanes<WarpgroupOperands>& lanes);

}  // namespace quire
