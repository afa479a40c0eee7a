// The matrix step of the CPU target: C[rows, 16 columns a panel] (+)= A B, A in rows, B in panels
// (panel_page.h). Every (row, column) sum is one chain over k in ascending order whatever the number of rows
// or panels at a time, so that a row's bits do not depend on its neighbours: decode, verification, chunk and
// prefill agree.
#pragma once

#include "targets/cpu/tile/panel_page.h"
#include "targets/cpu/tile/simd.h"
#include "tile/pipeline_loads.h"
#include "tile/views.h"

namespace quire {
namespace QUIRE_TARGET {

constexpr int kPanelVecs = kPanelCols / kLanes;

// For dots of elements E: how many neighbours of k are stored together, and the type of the left operand.
template <class E>
struct DotTraits {
  static constexpr int kPair = 1;
  using Left = float;
};
template <>
struct DotTraits<bf16> {
  static constexpr int kPair = 2;
#if defined(__AVX512BF16__)
  using Left = bf16;  // a pair-dot instruction takes bf16 on both sides
#else
  using Left = float;
#endif
};

// One k step (a pair for bf16) of `num_panels` panels against `num_rows` rows; `a` points at the step's first
// element of row 0.
template <class E, int num_rows, int num_panels>
struct PanelStep {
  static QUIRE_DEV void run(VecF (&acc)[num_rows][num_panels * kPanelVecs], const float* a, int lda,
                            const E* const (&b)[num_panels], long k) {
    VecF bv[num_panels * kPanelVecs];
    for (int i = 0; i < num_panels * kPanelVecs; ++i) {
      bv[i] = load_lanes(b[i / kPanelVecs] + k * kPanelCols + i % kPanelVecs * kLanes);
    }
    for (int r = 0; r < num_rows; ++r) {
      const VecF x = splat(a[long{r} * lda]);
      for (int i = 0; i < num_panels * kPanelVecs; ++i) acc[r][i] = x * bv[i] + acc[r][i];
    }
  }
};

template <int num_rows, int num_panels>
struct PanelStep<bf16, num_rows, num_panels> {
#if defined(__AVX512BF16__)
  static QUIRE_DEV void run(VecF (&acc)[num_rows][num_panels * kPanelVecs], const bf16* a, int lda,
                            const bf16* const (&b)[num_panels], long k) {
    VecU bv[num_panels];
    for (int i = 0; i < num_panels; ++i) bv[i] = load_bits<VecU>(b[i] + k * 2 * kPanelCols);
    for (int r = 0; r < num_rows; ++r) {
      const VecU x = VecU{} + load_bits<unsigned>(a + long{r} * lda);
      for (int i = 0; i < num_panels; ++i) {
        acc[r][i] = (VecF)_mm512_dpbf16_ps((__m512)acc[r][i], (__m512bh)x, (__m512bh)bv[i]);
      }
    }
  }
#else
  // The even half first, then the odd half, so that only one half of the panel is in registers.
  static QUIRE_DEV void run(VecF (&acc)[num_rows][num_panels * kPanelVecs], const float* a, int lda,
                            const bf16* const (&b)[num_panels], long k) {
    VecF bv[num_panels * kPanelVecs];
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < num_panels * kPanelVecs; ++i) {
        const VecU pair = load_bits<VecU>(b[i / kPanelVecs] + (k * kPanelCols + i % kPanelVecs * kLanes) * 2);
        bv[i] = bit_cast_to<VecF>(half == 0 ? pair << 16 : pair & 0xffff0000u);
      }
      for (int r = 0; r < num_rows; ++r) {
        const VecF x = splat(a[long{r} * lda + half]);
        for (int i = 0; i < num_panels * kPanelVecs; ++i) acc[r][i] = x * bv[i] + acc[r][i];
      }
    }
  }
#endif
};

// Rows of C and A of one call, and whether C starts from zero.
template <class Left>
struct RowBlock {
  float* c;
  int ldc;
  const Left* a;
  int lda;
  bool from_zero;
};

// C block += A block times `num_panels` panels. The k range comes in segments (the pages of a value tile, or
// one): segment s has steps(s) steps of k, and panel p of it starts at panel(s, p). prefetch(p, k) may
// prefetch memory that is read later.
template <class E, int num_rows, int num_panels, class Segments>
QUIRE_DEV void multiply_panels(const RowBlock<typename DotTraits<E>::Left>& block, const Segments& segments) {
  VecF acc[num_rows][num_panels * kPanelVecs];
  for (int r = 0; r < num_rows; ++r) {
    for (int i = 0; i < num_panels * kPanelVecs; ++i) {
      acc[r][i] = block.from_zero ? VecF{} : load_lanes(block.c + long{r} * block.ldc + i * kLanes);
    }
  }
  const typename DotTraits<E>::Left* a = block.a;
  for (int s = 0; s < segments.num; ++s) {
    const E* b[num_panels];
    for (int p = 0; p < num_panels; ++p) b[p] = segments.panel(s, p);
    const long steps = segments.steps(s);
    for (long k = 0; k < steps; ++k) {
      for (int p = 0; p < num_panels; ++p) segments.prefetch(p, k);
      PanelStep<E, num_rows, num_panels>::run(acc, a, block.lda, b, k);
      a += DotTraits<E>::kPair;
    }
  }
  for (int r = 0; r < num_rows; ++r) {
    for (int i = 0; i < num_panels * kPanelVecs; ++i) {
      store_lanes(block.c + long{r} * block.ldc + i * kLanes, acc[r][i]);
    }
  }
}

// Registers decide how many rows and panels go at a time: the sums, one step of every panel, a broadcast and
// a mask. With few rows more panels keep enough independent sums in flight.
constexpr bool fits_registers(int num_rows, int num_panels) {
  return (num_rows * num_panels + num_panels) * kPanelVecs + 2 <= kNumVectorRegisters;
}
constexpr int rows_at_once(int num_rows) {
  return fits_registers(num_rows + 1, 1) && num_rows < 12 ? rows_at_once(num_rows + 1) : num_rows;
}
constexpr int kMaxRowsAtOnce = rows_at_once(1);
constexpr int panels_at_once(int num_rows) {
  return fits_registers(num_rows, 4) || (num_rows == 1 && kPanelVecs <= 2) ? 4
         : fits_registers(num_rows, 2)                                     ? 2
                                                                           : 1;
}

// One row block against all panels [0, num_panels): `segments_from(p)` gives the segments that start at panel
// p.
template <class E, int num_rows, class SegmentsFrom>
QUIRE_DEV void multiply_row_block(RowBlock<typename DotTraits<E>::Left> block, int num_panels,
                                  const SegmentsFrom& segments_from) {
  constexpr int kAtOnce = panels_at_once(num_rows);
  int p = 0;
  float* c = block.c;
  for (; p + kAtOnce <= num_panels; p += kAtOnce) {
    block.c = c + p * kPanelCols;
    multiply_panels<E, num_rows, kAtOnce>(block, segments_from(p));
  }
  for (; p < num_panels; ++p) {
    block.c = c + p * kPanelCols;
    multiply_panels<E, num_rows, 1>(block, segments_from(p));
  }
}

template <class E, int num_rows, class SegmentsFrom>
inline void multiply_remaining_rows(const RowBlock<typename DotTraits<E>::Left>& block, int rows,
                                    int num_panels, const SegmentsFrom& segments_from) {
  if constexpr (num_rows > 0) {
    if (rows == num_rows) return multiply_row_block<E, num_rows>(block, num_panels, segments_from);
    multiply_remaining_rows<E, num_rows - 1>(block, rows, num_panels, segments_from);
  }
}

// C [rows, 16 num_panels] (+)= A B. Panels are the outer loop when there are several row blocks, so that a
// panel stays in the first-level cache while all rows pass over it.
template <class E, class SegmentsFrom>
inline void multiply(const RowBlock<typename DotTraits<E>::Left>& block, int rows, int num_panels,
                     const SegmentsFrom& segments_from) {
  if (rows <= kMaxRowsAtOnce) {
    return multiply_remaining_rows<E, kMaxRowsAtOnce>(block, rows, num_panels, segments_from);
  }
  constexpr int kAtOnce = panels_at_once(kMaxRowsAtOnce);
  for (int p = 0; p < num_panels; p += kAtOnce) {
    const int now = num_panels - p < kAtOnce ? num_panels - p : kAtOnce;
    const auto from = [&](int q) { return segments_from(p + q); };
    RowBlock<typename DotTraits<E>::Left> part = block;
    part.c += p * kPanelCols;
    int r = 0;
    for (; r + kMaxRowsAtOnce <= rows; r += kMaxRowsAtOnce) {
      multiply_row_block<E, kMaxRowsAtOnce>(part, now, from);
      part.c += long{kMaxRowsAtOnce} * block.ldc;
      part.a += long{kMaxRowsAtOnce} * block.lda;
    }
    multiply_remaining_rows<E, kMaxRowsAtOnce - 1>(part, rows - r, now, from);
  }
}

}  // namespace QUIRE_TARGET
}  // namespace quire
