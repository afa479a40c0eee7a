#include "targets/emulator/instructions.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "base/dtype.h"

namespace quire {
namespace {

using emulator::Element16;

constexpr std::size_t kDepth = 16;

float element(Element16 type, unsigned pair, std::size_t half) {
  return emulator::to_f32(type, static_cast<unsigned short>(pair >> (16 * half)));
}

}  // namespace

void load_fragments(bool transposed, const OfLanes<MatrixOperands*>& lanes) {
  std::uint16_t matrices[4][8][8];
  for (std::size_t lane = 0; lane < kWarpLanes; ++lane)
    std::memcpy(matrices[lane / 8][lane % 8], lanes[lane]->row, 16);
  for (std::size_t lane = 0; lane < kWarpLanes; ++lane) {
    for (std::size_t m = 0; m < 4; ++m) {
      const std::size_t row = lane / 4, col = 2 * (lane % 4);
      const std::uint16_t lo = transposed ? matrices[m][col][row] : matrices[m][row][col];
      const std::uint16_t hi = transposed ? matrices[m][col + 1][row] : matrices[m][row][col + 1];
      lanes[lane]->r[m] = lo | static_cast<unsigned>(hi) << 16;
    }
  }
}

MatrixDescriptor MatrixDescriptor::decode(std::uint64_t bits) {
  constexpr int kSwizzleBytes[] = {16, 128, 64, 32};
  const auto field = [&](int first) { return static_cast<std::size_t>(bits >> first & 0x3fff) << 4; };
  return {field(0), field(16), field(32), kSwizzleBytes[bits >> 62]};
}

// A core matrix is eight rows of swizzle_bytes. The place of a chunk of 16 bytes is its address with bits 4
// to 6 XORed with bits 7 to 9 (fewer bits for narrower swizzles). With k along the rows, the distance between
// cores is stride_bytes along n and, without swizzle, leading_bytes along k. With n along the rows it is
// stride_bytes along k and leading_bytes along n; without swizzle the two are exchanged.
std::size_t MatrixDescriptor::offset_of(int n, int k, bool is_transposed) const {
  const auto along = static_cast<std::size_t>(is_transposed ? n : k) * 2,
             across = static_cast<std::size_t>(is_transposed ? k : n);
  const auto row_bytes = static_cast<std::size_t>(swizzle_bytes);
  std::size_t across_bytes = stride_bytes, along_bytes = leading_bytes;
  if (is_transposed && swizzle_bytes == 16) std::swap(across_bytes, along_bytes);
  const std::size_t linear = start + across / 8 * across_bytes + across % 8 * row_bytes +
                             along / row_bytes * along_bytes + along % row_bytes;
  const std::size_t mask = row_bytes / 16 - 1;
  return linear ^ ((linear >> 7 & mask) << 4);
}

// Register r of lane l holds, of the left operand [16, 16], row l / 4 + 8 (r % 2) and the two columns from
// 2 (l % 4) + 8 (r / 2) on; of 8 columns of sums, row l / 4 + 8 (r / 2) and column 2 (l % 4) + r % 2.
void multiply_warpgroup_rows(Element16 type, bool adds, const RightOperand& right,
                             const OfLanes<WarpgroupOperands>& lanes) {
  float left[16][kDepth];
  for (std::size_t lane = 0; lane < kWarpLanes; ++lane) {
    for (std::size_t i = 0; i < 8; ++i) {
      const std::size_t r = i / 2, half = i % 2;
      left[lane / 4 + 8 * (r % 2)][2 * (lane % 4) + 8 * (r / 2) + half] =
          element(type, lanes[lane].a[r], half);
    }
  }
  for (std::size_t first = 0; first < right.size(); first += 8) {
    float sums[16][8] = {};
    const auto each_sum = [&](const auto& f) {
      for (std::size_t lane = 0; lane < kWarpLanes; ++lane) {
        float* c = lanes[lane].c + first / 2;
        for (std::size_t r = 0; r < 4; ++r) f(sums[lane / 4 + 8 * (r / 2)][2 * (lane % 4) + r % 2], c[r]);
      }
    };
    if (adds) each_sum([](float& sum, float c) { sum = c; });
    for (std::size_t row = 0; row < 16; ++row) {
      for (std::size_t k = 0; k < kDepth; ++k) {
        for (std::size_t col = 0; col < 8; ++col) sums[row][col] += left[row][k] * right[first + col][k];
      }
    }
    each_sum([](float sum, float& c) { c = sum; });
  }
}

// Register r of lane l holds of the right operand the two rows from 2 (l % 4) + 8 r on, column l / 4.
void multiply_fragments(Element16 type, const OfLanes<StepOperands*>& lanes) {
  RightOperand right(8);
  OfLanes<WarpgroupOperands> operands;
  for (std::size_t lane = 0; lane < kWarpLanes; ++lane) {
    const StepOperands& of_lane = *lanes[lane];
    operands[lane] = {of_lane.c, of_lane.a};
    for (std::size_t i = 0; i < 4; ++i) {
      right[lane / 4][2 * (lane % 4) + 8 * (i / 2) + i % 2] = element(type, of_lane.b[i / 2], i % 2);
    }
  }
  multiply_warpgroup_rows(type, true, right, operands);
}

namespace emulator {

// Two f32 rounded to nearest even, the first in the low half; NaN becomes 0x7fff.
unsigned pack_pair(Element16 type, float lo, float hi) {
  const auto rounded = [type](float x) -> unsigned {
    if (std::isnan(x)) return 0x7fff;
    return type == Element16::kBF16 ? f32_to_bf16(x) : f32_to_f16(x);
  };
  return rounded(lo) | rounded(hi) << 16;
}

float to_f32(Element16 type, unsigned short bits) {
  return type == Element16::kBF16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

namespace {

float flushed(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }

}  // namespace

float exp2(float x) { return flushed(static_cast<float>(std::exp2(static_cast<double>(flushed(x))))); }
float log2(float x) { return static_cast<float>(std::log2(static_cast<double>(flushed(x)))); }
float sqrt(float x) { return std::sqrt(x); }
float max(float a, float b) { return std::fmax(a, b); }
unsigned long long to_integer(float x) { return static_cast<unsigned long long>(std::nearbyint(x)); }

}  // namespace emulator
}  // namespace quire
