#include "targets/emulator/instructions.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "base/dtype.h"

namespace quire {
namespace {

using emulator::Element16;

constexpr int kDepth = 16;

float element(Element16 type, unsigned pair, int half) {
  const auto bits = static_cast<std::uint16_t>(pair >> (16 * half));
  return type == Element16::kBF16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

// The left operand [16, 16]: register r of lane l holds row l / 4 + 8 (r % 2), columns 2 (l % 4) + 8 (r / 2)
// and + 1.
struct LeftOperand {
  float x[16][kDepth];

  template <class RegistersOf>
  LeftOperand(Element16 type, const RegistersOf& registers_of) {
    for (int lane = 0; lane < kWarpLanes; ++lane) {
      const unsigned* a = registers_of(lane);
      for (int r = 0; r < 4; ++r) {
        for (int half = 0; half < 2; ++half) {
          x[lane / 4 + 8 * (r % 2)][2 * (lane % 4) + 8 * (r / 2) + half] = element(type, a[r], half);
        }
      }
    }
  }
};

// sums[16][8] from and to register r of lane l: row l / 4 + 8 (r / 2), column 2 (l % 4) + r % 2.
template <class RegistersOf>
void load_sums(float (&sums)[16][8], const RegistersOf& registers_of) {
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    for (int r = 0; r < 4; ++r) sums[lane / 4 + 8 * (r / 2)][2 * (lane % 4) + r % 2] = registers_of(lane)[r];
  }
}
template <class RegistersOf>
void store_sums(const float (&sums)[16][8], const RegistersOf& registers_of) {
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    for (int r = 0; r < 4; ++r) registers_of(lane)[r] = sums[lane / 4 + 8 * (r / 2)][2 * (lane % 4) + r % 2];
  }
}

void multiply(float (&sums)[16][8], const LeftOperand& left, const float (&right)[kDepth][8]) {
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < kDepth; ++k) {
      const float a = left.x[row][k];
      for (int col = 0; col < 8; ++col) sums[row][col] += a * right[k][col];
    }
  }
}

}  // namespace

void multiply_fragments(Element16 type, const OfLanes<const StepOperands*>& lanes) {
  const LeftOperand left(type, [&](int lane) { return lanes[static_cast<std::size_t>(lane)]->a; });
  // Register r of lane l: rows 2 (l % 4) + 8 r and + 1, column l / 4.
  float right[kDepth][8], sums[16][8];
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    for (int r = 0; r < 2; ++r) {
      for (int half = 0; half < 2; ++half) {
        right[2 * (lane % 4) + 8 * r + half][lane / 4] =
            element(type, lanes[static_cast<std::size_t>(lane)]->b[r], half);
      }
    }
  }
  const auto sums_of = [&](int lane) { return lanes[static_cast<std::size_t>(lane)]->c; };
  load_sums(sums, sums_of);
  multiply(sums, left, right);
  store_sums(sums, sums_of);
}

void load_fragments(bool transposed, const OfLanes<const MatrixOperands*>& lanes) {
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

// Rows of swizzle_bytes, eight of them in a core; a chunk of 16 bytes stands where bits 4 to 6 of its address
// are combined with bits 7 to 9 (fewer of them for narrower swizzles). K along the rows: cores follow each
// other by stride_bytes along n, and without swizzle by leading_bytes along k. N along the rows: by
// stride_bytes along k and by leading_bytes along n; without swizzle the other way round.
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

void multiply_warpgroup_rows(Element16 type, bool adds, const RightOperand& right,
                             const OfLanes<WarpgroupOperands>& lanes) {
  const LeftOperand left(type, [&](int lane) { return lanes[static_cast<std::size_t>(lane)].a; });
  const int num_blocks = static_cast<int>(right.size()) / 8;
  for (int block = 0; block < num_blocks; ++block) {
    float sums[16][8] = {}, part[kDepth][8];
    for (int k = 0; k < kDepth; ++k) {
      for (int col = 0; col < 8; ++col)
        part[k][col] = right[static_cast<std::size_t>(block * 8 + col)][static_cast<std::size_t>(k)];
    }
    const auto sums_of = [&](int lane) { return lanes[static_cast<std::size_t>(lane)].c + 4 * block; };
    if (adds) load_sums(sums, sums_of);
    multiply(sums, left, part);
    store_sums(sums, sums_of);
  }
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
