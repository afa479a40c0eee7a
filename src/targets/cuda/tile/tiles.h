// Tiles of the cuda target. A program has QUIRE_WARPS warps. A tile is distributed over them in one of two
// ways:
//   many rows   each warp has 16 rows of every tile
//   16 rows     each warp is a part of the program (tile.h) and has all rows. It has its share of the columns
//   of
//               scores, and its own sums (Accum), which are added over the warps when they are needed.
// A warp's 16 rows are in the fragments of matrix steps: of each 8 columns, lane l holds rows l / 4 and
// l / 4 + 8, columns 2 (l % 4) and 2 (l % 4) + 1.
#pragma once

#include "targets/cuda/tile/program.h"
#include "targets/cuda/tile/work.h"
#include "tile/lanes/fragments.h"
#include "tile/lanes/spans.h"

namespace quire {
namespace QUIRE_TARGET {

#if QUIRE_WARPGROUPS
constexpr bool kHasWarpgroups = true;
#else
constexpr bool kHasWarpgroups = false;
#endif
// Many rows of 16-bit elements are multiplied by warpgroups on chips that have them.
template <class E>
constexpr bool uses_warpgroups(int max_rows) {
  return kHasWarpgroups && max_rows == kManyRows && sizeof(E) == 2;
}

// f32 sums. With 16 rows an element is the sum of what the warps have.
template <int max_rows, int max_cols>
struct Accum {
  static constexpr int kBlocks = max_cols / 8, kJoinedAtOnce = kHasProducer ? ceil_div(kBlocks, 4) : kBlocks;
  static_assert(max_cols % 8 == 0, "rows in 16s, columns in 8s");
  float x[kBlocks][4];
  float* joining;  // shared memory in which the sums of warps are added; used with 16 rows only
  int rows = 0, cols = 0;

  // With producer warps this memory is between the left operand of few rows, which is constructed before, and
  // the ring. Without them it is kJoinBytes of its own or, if that is 0, the memory of the item's first
  // tiles, which nobody needs any more when sums are joined.
  Accum(const Accum&) = delete;
  QUIRE_DEV explicit Accum(Program& program)
      : joining(reinterpret_cast<float*>(shared_memory() +
                                         (kHasProducer ? program.used : kReservedBytes - kJoinBytes))) {}
};

template <int max_rows, int max_keys>
struct Scores {
  static constexpr int kSplit = max_rows == kFewRows ? kWarps : 1;
  static constexpr int kBlocks = max_keys / 8 / kSplit, kMaxRows = max_rows;
  float x[kBlocks][4];
  unsigned packed[max_keys / 16][4];  // for warpgroups: the probabilities as left operand
  int rows = 0;

  Scores(const Scores&) = delete;
  QUIRE_DEV explicit Scores(Program&) {}
  static QUIRE_DEV int first_col() {
    return (kSplit > 1 ? warp_idx() * kBlocks * 8 : 0) + lane_idx() % 4 * 2;
  }
};

// The probabilities of 16 keys, blocks 2 step and 2 step + 1, rounded, as left fragment of the product with
// V. No data moves between lanes: the sums of one product are distributed like the left operand of the next.
template <class E, int num_blocks>
QUIRE_DEV void pack_left(unsigned (&a)[4], const float (&p)[num_blocks][4], int step) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float(&from)[4] = p[2 * step + i / 2];
    a[i] = pack_pair(E{}, from[i % 2 * 2], from[i % 2 * 2 + 1]);
  }
}

// For the sums and operands of a warpgroup's products, before they are issued and after they are done.
template <class T, int n>
QUIRE_DEV void pin_all(T (&x)[n][4]) {
#pragma unroll
  for (int j = 0; j < n; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) pin(x[j][i]);
  }
}
// Waits until the sums have their values. All warps of a warpgroup have to wait at the same place.
template <int max_rows, int max_cols>
QUIRE_DEV void settle(Accum<max_rows, max_cols>& tile) {
#if QUIRE_WARPGROUPS
  if constexpr (max_rows == kManyRows) {
    warpgroup_wait<0>();
    pin_all(tile.x);
  }
#endif
}
// For 16 rows: adds the sums of the warps. `share_sums` writes every warp's registers of blocks [first, first
// + kAtOnce) to shared memory: two registers of a block if there are no more than 8 rows, else four. `joined`
// then gives the sum of register i of block n over the warps. Until then no other tile may use that memory.
template <class Tile, int registers>
struct Joining {
  static constexpr int kAtOnce = Tile::kJoinedAtOnce * 4 / registers < Tile::kBlocks
                                     ? Tile::kJoinedAtOnce * 4 / registers
                                     : Tile::kBlocks;
  static QUIRE_DEV float* part(const Tile& tile, int warp, int n, int i) {
    return tile.joining + ((warp * kAtOnce + n % kAtOnce) * registers + i) * kLaneCount + lane_idx();
  }
  static QUIRE_DEV void share_sums(const Tile& tile, int first) {
    consumer_barrier();
#pragma unroll
    for (int n = 0; n < kAtOnce; ++n) {
#pragma unroll
      for (int i = 0; i < registers; ++i) {
        if (first + n < Tile::kBlocks && (i < 2 || tile.rows > 8))
          *part(tile, warp_idx(), n, i) = tile.x[first + n][i];
      }
    }
    consumer_barrier();
  }
  static QUIRE_DEV float joined(const Tile& tile, int n, int i) {
    float sum = *part(tile, 0, n, i);
    for (int w = 1; w < kWarps; ++w) sum += *part(tile, w, n, i);
    return sum;
  }
  // Calls f as visit_pairs below does; one warp calls it for each pair.
  template <class F>
  static QUIRE_DEV void visit_pairs(const Tile& tile, const F& f) {
#pragma unroll
    for (int first = 0; first < Tile::kBlocks; first += kAtOnce) {
      share_sums(tile, first);
#pragma unroll 1
      for (int j = 0; j < ceil_div(registers / 2 * kAtOnce, kWarps); ++j) {
        const int i = j * kWarps + warp_idx(), n = first + i % kAtOnce, half = i / kAtOnce;
        if (Tile::kBlocks % kAtOnce != 0 && n >= Tile::kBlocks) continue;
        if (half == 0 || (half == 1 && tile.rows > 8))
          f(n, half, joined(tile, n, 2 * half), joined(tile, n, 2 * half + 1));
      }
    }
    consumer_barrier();
  }
};

// Calls f(n, half, x, y) for each pair of neighbouring columns that this lane holds, in block n and row
// first_row() + 8 half. With 16 rows x and y are sums over the warps, and one warp visits each pair. If the
// memory is too small for all blocks, half the registers for up to 8 rows allow twice as many blocks at once.
template <int max_rows, int max_cols, class F>
QUIRE_DEV void visit_pairs(const Accum<max_rows, max_cols>& tile, const F& f) {
  using Tile = Accum<max_rows, max_cols>;
  if constexpr (max_rows != kFewRows) {
#pragma unroll
    for (int n = 0; n < Tile::kBlocks; ++n) {
#pragma unroll
      for (int half = 0; half < 2; ++half) f(n, half, tile.x[n][2 * half], tile.x[n][2 * half + 1]);
    }
  } else {
    if (Tile::kJoinedAtOnce < Tile::kBlocks && tile.rows <= 8) return Joining<Tile, 2>::visit_pairs(tile, f);
    Joining<Tile, 4>::visit_pairs(tile, f);
  }
}

// Stores columns col and col + 1 of a row in global memory, with one store if the address is aligned for it
// (`takes_pairs`).
template <class E>
QUIRE_DEV void put_pair(E* row, bool takes_pairs, int col, int cols, float x, float y) {
  if (kExactHeads || (takes_pairs && col + 1 < cols)) return store_pair(row + col, x, y);
  store(row, col, x);
  if (col + 1 < cols) store(row, col + 1, y);
}

// Transposes x[0 ... 3] of the four lanes of a quad: lane i receives the x[i] of all four.
QUIRE_DEV void transpose_quad(unsigned (&x)[4]) {
#pragma unroll
  for (int mask = 1; mask <= 2; mask *= 2) {
    const bool is_upper = (lane_idx() & mask) != 0;
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const int low = mask == 1 ? 2 * k : k, high = low + mask;
      const unsigned other = bits_of(shuffle_xor(from_bits(is_upper ? x[low] : x[high]), mask));
      (is_upper ? x[low] : x[high]) = other;
    }
  }
}

// Stores `pairs`, which are columns [col, col + 8) of a row of 16-bit elements, with one store if possible.
template <class E>
QUIRE_DEV void put_piece(E* row, int col, int cols, const unsigned (&pairs)[4]) {
  if (kExactHeads || (col + 8 <= cols && address_of(row + col) % 16 == 0)) return store_128(row + col, pairs);
  for (int i = 0; i < 8 && col + i < cols; ++i)
    row[col + i] = E{static_cast<unsigned short>(pairs[i / 2] >> 16 * (i % 2))};
}
template <class E, int max_rows, int max_cols, class RowPointer>
QUIRE_DEV void store_pieces(const Accum<max_rows, max_cols>& tile, const Row<max_rows>& factor, int rows,
                            int cols, const RowPointer& row_pointer) {
  constexpr int kBlocks = max_cols / 8;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = first_row<max_rows>() + half * 8;
    E* to = row < rows ? row_pointer(row) : nullptr;
#pragma unroll
    for (int n = 0; n < kBlocks; n += 4) {
      unsigned pairs[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float(&x)[4] = tile.x[n + i < kBlocks ? n + i : n];
        pairs[i] = pack_pair(E{}, x[2 * half] * factor.value[half], x[2 * half + 1] * factor.value[half]);
      }
      transpose_quad(pairs);
      const bool has_piece = n + 4 <= kBlocks || n + lane_idx() % 4 < kBlocks;
      if (to != nullptr && has_piece) put_piece(to, (n + lane_idx() % 4) * 8, cols, pairs);
    }
  }
}

template <class T>
struct PointeeOf;
template <class T>
struct PointeeOf<T*> {
  using Type = T;
};
template <class Pointer>
using Pointee = typename PointeeOf<Pointer>::Type;

// Row r is multiplied by factor[r], rounded to the element type, and written to row_pointer(r).
template <int max_rows, int max_cols, class RowPointer>
QUIRE_DEV void store_rows(Accum<max_rows, max_cols>& tile, const Row<max_rows>& factor, int rows, int cols,
                          const RowPointer& row_pointer) {
  if (is_producer()) return;
  settle(tile);
  using Elem = Pointee<decltype(row_pointer(0))>;
  if constexpr (max_rows != kFewRows && sizeof(Elem) == 2) {
    return store_pieces<Elem>(tile, factor, rows, cols, row_pointer);
  } else {
    visit_pairs(tile, [&](int n, int half, float x, float y) {
      const int row = first_row<max_rows>() + half * 8, col = n * 8 + lane_idx() % 4 * 2;
      if (row >= rows || (!kExactHeads && col >= cols)) return;
      Elem* to = row_pointer(row);
      put_pair(to, address_of(to) % (2 * sizeof(Elem)) == 0, col, cols, x * factor.value[half],
               y * factor.value[half]);
    });
  }
}
template <int max_rows, int max_cols, class RowPointer>
QUIRE_DEV void store_rows(Accum<max_rows, max_cols>& tile, int rows, int cols,
                          const RowPointer& row_pointer) {
  Row<max_rows> one;
  one.value[0] = one.value[1] = 1.0f;
  store_rows(tile, one, rows, cols, row_pointer);
}

// x = f(i, x) with i a column, for operands that lie along the columns, such as a bias.
template <int max_rows, int max_cols, class F>
QUIRE_DEV void each_span(Accum<max_rows, max_cols>& tile, int cols, const F& f) {
  using Join = Joining<Accum<max_rows, max_cols>, 4>;
  if constexpr (max_rows == kFewRows) Join::share_sums(tile, 0);
#pragma unroll
  for (int n = 0; n < max_cols / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int col = n * 8 + lane_idx() % 4 * 2 + i % 2;
      if constexpr (max_rows == kFewRows) {
        if (i >= 2 && tile.rows <= 8) continue;
        const float x = Join::joined(tile, n, i);
        tile.x[n][i] = warp_idx() > 0 ? 0.0f
                       : col < cols   ? f(col, x)
                                      : x;  // from here on the first warp has the whole sum, the others 0
      } else if (col < cols) {
        tile.x[n][i] = f(col, tile.x[n][i]);
      }
    }
  }
  if constexpr (max_rows == kFewRows) consumer_barrier();
}

template <int max_rows, int max_cols>
QUIRE_DEV void row_scale(Accum<max_rows, max_cols>& tile, const Row<max_rows>& factor) {
  if constexpr (kHasWarpgroups && max_rows == kManyRows) {
    // Never taken: the opaque branch keeps ptxas from hoisting the wait above the softmax.
    pin(tile.rows);
    if (tile.rows < 0) return;
  }
  settle(tile);
  if (!any_lane(factor.value[0] != 1.0f || factor.value[1] != 1.0f)) return;
#pragma unroll
  for (int n = 0; n < max_cols / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) tile.x[n][i] *= factor.value[i / 2];
  }
}

}  // namespace QUIRE_TARGET
}  // namespace quire
