// Left operands: rows in shared memory, in chunks of 16 bytes with the swizzle that matrix units read.
#pragma once

#include "targets/cuda/tile/tiles.h"

namespace quire {
namespace QUIRE_TARGET {

// Rows of swizzled chunks in shared memory, in strips of 8 chunks: chunk c of row r of a strip is at place
// c ^ (r % 8) of that row.
struct Chunks {
  char* base;
  int num_rows;  // of a strip
  QUIRE_DEV char* at(int row, int chunk) const {
    return base + ((chunk / kRowChunks * num_rows + row) * kRowChunks + ((chunk ^ row) % kRowChunks)) * 16;
  }
  // A matrix step reads two chunks of a row; `half` is 0 or 1.
  QUIRE_DEV char* of_step(int row, int step, int half) const { return at(row, 2 * step + half); }
};

// Rows of `num_chunks` chunks in shared memory, in the strips of pages: narrow ones after those of 8 chunks.
// With an odd number of chunks the last matrix step reads its only chunk twice; the second time it is
// multiplied with zeros, or the resulting columns are not used.
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

  Operand(const Operand&) = delete;
  QUIRE_DEV explicit Operand(Program& p) : program(p), base(p.take(strips_of<E>(max_k) * max_rows * 128)) {}

#if QUIRE_PRODUCER
  // Waits until the consumers no longer need what is in this memory.
  QUIRE_DEV void wait_for_memory() const {
    mbarrier_wait(mbarrier_at(kLeftFree), program.left_phase ^ 1);
    if (!program.was_of_few) return;
    mbarrier_wait(mbarrier_at(kFewDone), program.few_phase);
    program.few_phase ^= 1;
  }
#endif
  QUIRE_DEV Chunks chunks() const { return {base, max_rows}; }
};

// The number of chunks of a row that a product over `cols` elements reads: whole matrix steps of two chunks.
template <class E>
constexpr int read_chunks(int cols) {
  return round_up(ceil_div(cols, kChunkElems<E>), 2);
}
// False for a chunk that only fills up the last matrix step.
template <class E, int max_k>
QUIRE_DEV bool is_in_row(int chunk) {
  return read_chunks<E>(max_k) * kChunkElems<E> <= max_k || chunk * kChunkElems<E> < max_k;
}

// Copies elements [col, col + kChunkElems) of a row of `cols` elements to a chunk; writes zeros for elements
// beyond the row, and for all if `row` is null.
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
// By the producer warps. Each copies rows of its own: a lane finds the address of a row, then all lanes copy
// the rows chunk by chunk.
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
    if (chunk >= read_chunks<E>(max_k)) continue;  // a loop over read_chunks only would take more registers
    const E* from = is_in_row<E, max_k>(chunk) ? left_rows<E>()[row] : nullptr;
    copy_chunk(tile.chunks().at(row, chunk), from, chunk * kChunkElems<E>, k_len);
  }
}
#endif

// Starts copying row r from row_pointer(r); rows beyond `rows` and the rest of the last chunk are zero. The
// pipeline waits for the copies with its first tile. In programs with producer warps the consumers copy few
// rows themselves, and the producers copy many rows ahead of time.
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
  consumer_barrier();  // nobody reads what was in this memory any more
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
