// Left operands: rows in shared memory, in chunks that are swizzled as matrix units want them.
#pragma once

#include "targets/cuda/tile/tiles.h"

namespace quire {
namespace QUIRE_TARGET {

// Rows of swizzled chunks in shared memory: chunk c of row r of a strip at place c ^ (r % 8).
struct Chunks {
  char* base;
  int num_rows;  // of a strip
  QUIRE_DEV char* at(int row, int chunk) const {
    return base + ((chunk / kRowChunks * num_rows + row) * kRowChunks + ((chunk ^ row) % kRowChunks)) * 16;
  }
  // Chunk `half` of a matrix step, which has two.
  QUIRE_DEV char* of_step(int row, int step, int half) const { return at(row, 2 * step + half); }
};

// Rows of `num_chunks` chunks in shared memory as pages have them: narrow strips behind the whole ones. The
// last step of an odd number meets its one chunk twice: what it is multiplied with the second time is zero,
// or its columns are not looked at.
template <int num_chunks>
struct StripChunks {
  char* base;
  int num_rows;  // of a strip
  QUIRE_DEV char* of_step(int row, int step, int half) const {
    const int first = 2 * step;
    if (first < num_chunks / kRowChunks * kRowChunks) return Chunks{base, num_rows}.of_step(row, step, half);
    const ColumnStrip strip = strip_of(num_chunks, first);
    return base + strip.place(num_rows, row, first + (strip.width > 1 ? half : 0)) * 16;
  }
};
template <class E>
constexpr int strips_of(int cols) {
  return ceil_div(cols, kRowChunks * kChunkElems<E>);
}

template <class E, int max_rows, int max_k>
struct Operand {
  Program& program;
  char* base;
  int rows = 0;

  QUIRE_DEV explicit Operand(Program& p) : program(p), base(p.take(strips_of<E>(max_k) * max_rows * 128)) {}

#if QUIRE_PRODUCER
  // The team is done with what was here before.
  QUIRE_DEV void wait_for_memory() const {
    mbarrier_wait(mbarrier_at(kLeftFree), program.left_phase ^ 1);
    if (!program.was_of_few) return;
    mbarrier_wait(mbarrier_at(kFewDone), program.few_phase);
    program.few_phase ^= 1;
  }
#endif
  QUIRE_DEV Chunks chunks() const { return {base, max_rows}; }
};

// Chunks of a row that a product over `cols` elements reads: whole matrix steps of 32 bytes.
template <class E>
constexpr int read_chunks(int cols) {
  return round_up(ceil_div(cols, kChunkElems<E>), 2);
}
// False for the chunk that makes an odd number of them whole steps.
template <class E, int max_k>
QUIRE_DEV bool is_in_row(int chunk) {
  return read_chunks<E>(max_k) * kChunkElems<E> <= max_k || chunk * kChunkElems<E> < max_k;
}

// 16 bytes from global memory into a chunk: elements [col, col + chunk) of a row of `cols`, zeros beyond and
// where `row` is null.
template <class E>
QUIRE_DEV void copy_chunk(char* to, const E* row, int col, int cols) {
  const E* from = row + col;
  if (kExactHeads) {
    copy_async_16(to, row == nullptr ? to : reinterpret_cast<const char*>(from), row != nullptr);
  } else if (row == nullptr || col >= cols) {
    copy_async_16(to, to, false);
  } else if (col + kChunkElems<E> <= cols && address_of(from) % 16 == 0) {
    copy_async_16(to, from, true);
  } else {
    E* elems = reinterpret_cast<E*>(to);
    for (int i = 0; i < kChunkElems<E>; ++i) elems[i] = col + i < cols ? from[i] : E{};
  }
}

#if QUIRE_PRODUCER
// By the producer. Each warp brings rows of its own: a lane finds a row, then all copy it in pieces.
template <class E, int max_rows, int max_k, class RowPointer>
QUIRE_DEV void produce_rows(Operand<E, max_rows, max_k>& tile, int rows, int k_len,
                            const RowPointer& row_pointer) {
  constexpr int kOwnRows = max_rows / kProducerWarps, kChunks = strips_of<E>(max_k) * kRowChunks;
  static_assert(kOwnRows <= kLaneCount && max_rows * sizeof(E*) <= kExchangeBytes / 2,
                "a row for each lane, and room for all");
  tile.wait_for_memory();
  const int first = (warp_idx() - kWarps) * kOwnRows, own = first + lane_idx();
  if (lane_idx() < kOwnRows) left_rows<E>()[own] = own < rows ? row_pointer(own) : nullptr;
  warp_barrier();
#pragma unroll 4
  for (int i = lane_idx(); i < kOwnRows * kChunks; i += kLaneCount) {
    const int row = first + i / kChunks, chunk = i % kChunks;
    if (chunk >= read_chunks<E>(max_k)) continue;  // a loop over those alone takes more registers
    const E* from = is_in_row<E, max_k>(chunk) ? left_rows<E>()[row] : nullptr;
    copy_chunk(tile.chunks().at(row, chunk), from, chunk * kChunkElems<E>, k_len);
  }
}
#endif

// Row r is read from row_pointer(r); what is missing in rows and in whole chunks is zero. Arrives with the
// pipeline's first tile. Beside a producer the team brings few rows itself, without waiting for pages, and
// the producer many, ahead of the team.
template <class E, int max_rows, int max_k, class RowPointer>
QUIRE_DEV void load_rows(Operand<E, max_rows, max_k>& tile, int rows, int k_len,
                         const RowPointer& row_pointer) {
  tile.rows = rows;
#if QUIRE_PRODUCER
  if constexpr (max_rows == kManyRows) {
    if (is_producer()) produce_rows(tile, rows, k_len, row_pointer);
    return;
  }
  if (is_producer()) return;
  consumer_barrier();  // all are done with what was here before
#endif
  const int num_chunks = read_chunks<E>(kHasProducer ? max_k : k_len);
  for (int i = thread_idx(); i < max_rows * num_chunks; i += kWarps * kLaneCount) {
    const int row = i / num_chunks, chunk = i % num_chunks;
    const E* from = row < rows && is_in_row<E, max_k>(chunk) ? row_pointer(row) : nullptr;
    copy_chunk(tile.chunks().at(row, chunk), from, chunk * kChunkElems<E>, k_len);
  }
}

}  // namespace QUIRE_TARGET
}  // namespace quire
