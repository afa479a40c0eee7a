// Each instruction model against the formula of the PTX ISA, written out element by element.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/dtype.h"
#include "selftest/random.h"
#include "targets/emulator/instructions.h"

namespace quire {
namespace {

using emulator::Element16;

std::uint16_t round16(Element16 type, float x) {
  return type == Element16::kBF16 ? f32_to_bf16(x) : f32_to_f16(x);
}
float value16(Element16 type, std::uint16_t bits) {
  return type == Element16::kBF16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

std::vector<std::uint16_t> random_elements(Element16 type, std::size_t n, Random& random) {
  std::vector<std::uint16_t> x(n);
  for (std::uint16_t& bits : x) bits = round16(type, static_cast<float>(random.uniform(-2, 2)));
  return x;
}

void put(unsigned* registers, int element, std::uint16_t bits) {
  registers[element / 2] |= static_cast<unsigned>(bits) << (16 * (element % 2));
}

// "Matrix fragments for mma.m16n8k16 with floating point type": element i of a lane, with groupID = lane >> 2
// and threadID_in_group = lane % 4.
int a_row(int lane, int i) { return (lane >> 2) + ((i < 2 || (i >= 4 && i < 6)) ? 0 : 8); }
int a_col(int lane, int i) { return (lane % 4) * 2 + (i & 1) + (i < 4 ? 0 : 8); }
int b_row(int lane, int i) { return (lane % 4) * 2 + (i & 1) + (i < 2 ? 0 : 8); }
int b_col(int lane, int) { return lane >> 2; }
int c_row(int lane, int i) { return (lane >> 2) + (i < 2 ? 0 : 8); }
int c_col(int lane, int i) { return (lane % 4) * 2 + (i & 1); }

double sum_of_products(Element16 type, const std::uint16_t* a_row_of, const std::vector<std::uint16_t>& b,
                       int col, int b_cols) {
  double sum = 0;
  for (int k = 0; k < 16; ++k)
    sum += double{value16(type, a_row_of[k])} * value16(type, b[static_cast<std::size_t>(k * b_cols + col)]);
  return sum;
}

TEST(EmulatorInstructions, MultiplyStep) {
  Random random(1);
  for (const Element16 type : {Element16::kBF16, Element16::kF16}) {
    const auto a = random_elements(type, 16 * 16, random), b = random_elements(type, 16 * 8, random);
    unsigned a_registers[32][4] = {};
    float c_registers[32][4], before[16][8];
    StepOperands operands[32];
    OfLanes<StepOperands*> lanes;
    for (int lane = 0; lane < 32; ++lane) {
      StepOperands& mine = operands[lane] = {c_registers[lane], a_registers[lane], {0, 0}};
      for (int i = 0; i < 8; ++i)
        put(a_registers[lane], i, a[static_cast<std::size_t>(a_row(lane, i) * 16 + a_col(lane, i))]);
      for (int i = 0; i < 4; ++i) {
        put(mine.b, i, b[static_cast<std::size_t>(b_row(lane, i) * 8 + b_col(lane, i))]);
        before[c_row(lane, i)][c_col(lane, i)] = c_registers[lane][i] =
            static_cast<float>(random.uniform(-1, 1));
      }
      lanes[static_cast<std::size_t>(lane)] = &mine;
    }
    multiply_fragments(type, lanes);
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < 4; ++i) {
        const int row = c_row(lane, i), col = c_col(lane, i);
        const double want =
            before[row][col] + sum_of_products(type, &a[static_cast<std::size_t>(row * 16)], b, col, 8);
        EXPECT_NEAR(c_registers[lane][i], want, 1e-5) << "row " << row << " column " << col;
      }
    }
  }
}

TEST(EmulatorInstructions, LoadMatrix) {
  std::uint16_t matrices[4][8][8];
  for (int i = 0; i < 256; ++i) (&matrices[0][0][0])[i] = static_cast<std::uint16_t>(i);
  for (const bool transposed : {false, true}) {
    unsigned registers[32][4];
    MatrixOperands operands[32];
    OfLanes<MatrixOperands*> lanes;
    for (std::size_t lane = 0; lane < 32;
         ++lane) {  // lanes 0 to 7 address the rows of matrix 0, 8 to 15 those of matrix 1 …
      operands[lane] = {matrices[lane / 8][lane % 8], registers[lane]};
      lanes[lane] = &operands[lane];
    }
    load_fragments(transposed, lanes);
    for (int lane = 0; lane < 32; ++lane) {
      for (int m = 0; m < 4; ++m) {
        for (int half = 0; half < 2; ++half) {
          const int row = lane / 4, col = lane % 4 * 2 + half;
          EXPECT_EQ(registers[lane][m] >> (16 * half) & 0xffff,
                    transposed ? matrices[m][col][row] : matrices[m][row][col]);
        }
      }
    }
  }
}

// Rows of 128 bytes in groups of eight, 1,024 bytes each; chunk c of row r stands at place c ^ (r % 8).
std::size_t place_128(int row, int col) {
  return static_cast<std::size_t>(row * 128 + ((col / 8) ^ (row % 8)) * 16 + col % 8 * 2);
}

std::uint64_t descriptor(std::size_t start, std::size_t leading, std::size_t stride, int mode) {
  return start >> 4 | std::uint64_t{leading >> 4} << 16 | std::uint64_t{stride >> 4} << 32 |
         static_cast<std::uint64_t>(mode) << 62;
}

TEST(EmulatorInstructions, DescriptorOf128ByteSwizzle) {
  for (const std::size_t base : {0u, 8192u}) {
    for (int step = 0; step < 4; ++step) {  // 16 elements of k from a row of 64
      const auto keys =
          MatrixDescriptor::decode(descriptor(base + static_cast<std::size_t>(step) * 32, 16, 1024, 1));
      for (int n = 0; n < 64; ++n) {
        for (int k = 0; k < 16; ++k)
          EXPECT_EQ(keys.offset_of(n, k, false), base + place_128(n, step * 16 + k));
      }
      const auto values =
          MatrixDescriptor::decode(descriptor(base + static_cast<std::size_t>(step) * 16 * 128, 16, 1024, 1));
      for (int n = 0; n < 64; ++n) {
        for (int k = 0; k < 16; ++k)
          EXPECT_EQ(values.offset_of(n, k, true), base + place_128(step * 16 + k, n));
      }
    }
  }
}

TEST(EmulatorInstructions, DescriptorOfTwoPanels) {
  // Columns from 64 on lie in the next panel, here of 32 rows.
  const auto values = MatrixDescriptor::decode(descriptor(2048, 32 * 128, 1024, 1));
  for (int n = 0; n < 128; ++n) {
    for (int k = 0; k < 16; ++k) {
      EXPECT_EQ(values.offset_of(n, k, true),
                2048 + static_cast<std::size_t>(n / 64 * 32 * 128) + place_128(k, n % 64));
    }
  }
}

TEST(EmulatorInstructions, DescriptorsOfNarrowerSwizzles) {
  // 64 bytes: eight rows make 512, chunk c of row r at c ^ (r / 2 % 4). 32 bytes: 256, c ^ (r / 4 % 2). None:
  // cores of 8 x 16 bytes.
  const auto narrow = MatrixDescriptor::decode(descriptor(1024, 16, 512, 2));
  const auto narrower = MatrixDescriptor::decode(descriptor(1024, 16, 256, 3));
  const auto plain = MatrixDescriptor::decode(descriptor(1024, 128, 256, 0));
  for (int n = 0; n < 64; ++n) {
    for (int k = 0; k < 16; ++k) {
      const auto chunk = static_cast<std::size_t>(k / 8), row = static_cast<std::size_t>(n),
                 rest = static_cast<std::size_t>(k % 8 * 2);
      EXPECT_EQ(narrow.offset_of(n, k, false), 1024 + row * 64 + (chunk ^ (row / 2 % 4)) * 16 + rest);
      EXPECT_EQ(narrower.offset_of(n, k, false), 1024 + row * 32 + (chunk ^ (row / 4 % 2)) * 16 + rest);
      EXPECT_EQ(plain.offset_of(n, k, false), 1024 + row / 8 * 256 + chunk * 128 + row % 8 * 16 + rest);
    }
  }
}

// With n along the rows, 16 rows of k. Without a swizzle leading and stride offset change their parts: 8 x 8
// elements lie together, the next 8 of k follow by the leading offset, the next 8 of n by the stride offset.
TEST(EmulatorInstructions, DescriptorsOfNarrowColumns) {
  const auto narrow = MatrixDescriptor::decode(descriptor(1024, 4096, 512, 2));
  const auto narrower = MatrixDescriptor::decode(descriptor(1024, 4096, 256, 3));
  const auto plain = MatrixDescriptor::decode(descriptor(1024, 128, 4096, 0));
  for (int n = 0; n < 64; ++n) {
    for (int k = 0; k < 16; ++k) {
      const auto chunk = static_cast<std::size_t>(n / 8), row = static_cast<std::size_t>(k),
                 rest = static_cast<std::size_t>(n % 8 * 2);
      EXPECT_EQ(narrow.offset_of(n, k, true),
                1024 + chunk / 4 * 4096 + row * 64 + (chunk % 4 ^ (row / 2 % 4)) * 16 + rest);
      EXPECT_EQ(narrower.offset_of(n, k, true),
                1024 + chunk / 2 * 4096 + row * 32 + (chunk % 2 ^ (row / 4 % 2)) * 16 + rest);
      EXPECT_EQ(plain.offset_of(n, k, true), 1024 + row / 8 * 128 + chunk * 4096 + row % 8 * 16 + rest);
    }
  }
}

TEST(EmulatorInstructions, WarpgroupProduct) {
  Random random(2);
  for (const bool adds : {false, true}) {
    const Element16 type = adds ? Element16::kF16 : Element16::kBF16;
    const auto a = random_elements(type, 16 * 16, random), b = random_elements(type, 16 * 64, random);
    unsigned a_registers[32][4] = {};
    float c_registers[32][32];
    OfLanes<WarpgroupOperands> lanes;
    RightOperand right(64);
    for (std::size_t n = 0; n < 64; ++n) {
      for (std::size_t k = 0; k < 16; ++k) right[n][k] = value16(type, b[k * 64 + n]);
    }
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < 8; ++i)
        put(a_registers[lane], i, a[static_cast<std::size_t>(a_row(lane, i) * 16 + a_col(lane, i))]);
      for (float& c : c_registers[lane]) c = 3;
      lanes[static_cast<std::size_t>(lane)] = {c_registers[lane], a_registers[lane]};
    }
    multiply_warpgroup_rows(type, adds, right, lanes);
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < 32;
           ++i) {  // d[i]: row lane / 4 + 8 (i / 2 % 2), column 8 (i / 4) + 2 (lane % 4) + i % 2
        const int row = lane / 4 + 8 * (i / 2 % 2), col = 8 * (i / 4) + lane % 4 * 2 + i % 2;
        const double want =
            (adds ? 3 : 0) + sum_of_products(type, &a[static_cast<std::size_t>(row * 16)], b, col, 64);
        EXPECT_NEAR(c_registers[lane][i], want, 1e-5);
      }
    }
  }
}

TEST(EmulatorInstructions, Conversions) {
  EXPECT_EQ(emulator::pack_pair(Element16::kBF16, 1.0f, -2.0f), 0xc0003f80u);
  EXPECT_EQ(emulator::pack_pair(Element16::kF16, 1.0f, -2.0f), 0xc0003c00u);
  EXPECT_EQ(emulator::pack_pair(Element16::kBF16, NAN, 0), 0x7fffu);
  EXPECT_EQ(emulator::pack_pair(Element16::kBF16, std::ldexp(257.0f, -8), 0), 0x3f80u);  // half way: to even
  EXPECT_EQ(emulator::pack_pair(Element16::kBF16, std::ldexp(259.0f, -8), 0), 0x3f82u);
  EXPECT_EQ(emulator::to_f32(Element16::kF16, 0x3555), f16_to_f32(0x3555));
  EXPECT_EQ(emulator::exp2(-127.0f), 0.0f);
  EXPECT_EQ(emulator::exp2(-126.0f), 0x1p-126f);
  EXPECT_EQ(emulator::exp2(0.5f), static_cast<float>(std::sqrt(2.0)));
  EXPECT_EQ(emulator::log2(8.0f), 3.0f);
  EXPECT_EQ(emulator::log2(0x1p-130f), -INFINITY);
  EXPECT_EQ(emulator::max(NAN, 1.0f), 1.0f);
  EXPECT_EQ(emulator::to_integer(0.5f), 0u);  // half way: to even
  EXPECT_EQ(emulator::to_integer(1.5f), 2u);
  EXPECT_EQ(emulator::to_integer(2.5f), 2u);
  EXPECT_EQ(emulator::to_integer(0x1p40f), 1ull << 40);
}

}  // namespace
}  // namespace quire
