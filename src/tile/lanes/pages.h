// Tokens and their pages, for any machine of lanes whose pages consist of chunks of 16 bytes (spans.h).
// Included after the target has defined NativePage.
#pragma once

namespace quire {
namespace QUIRE_TARGET {

template <class E>
struct PagedToken {
  const E* page;
  int token;  // in the page; negative: none
};

// token / page size for token < 2^31 without a division. Multiplication by the reciprocal gives the quotient
// or one less, which `of` corrects.
struct PageIndex {
  int size;
  unsigned reciprocal;
  QUIRE_DEV explicit PageIndex(int page_size)
      : size(page_size), reciprocal(0xffffffffu / static_cast<unsigned>(page_size)) {}
  QUIRE_DEV int of(int token) const {
    const int page = static_cast<int>(multiply_high(static_cast<unsigned>(token), reciprocal));
    return page + (token - page * size >= size ? 1 : 0);
  }
};

// The page and the place of a key in it; no token if the key is outside [begin, end).
template <class E>
QUIRE_DEV PagedToken<E> find_token(const KvView<KvTypes<E, E>, NativePage>& view, const PageIndex& pages,
                                   int key, int begin, int end) {
  const bool is_there = key >= begin && key < end;
  const int page = pages.of(key);
  return {view.pool + (is_there ? view.page_table[page] * view.page_stride : 0),
          is_there ? key - page * pages.size : -1};
}

// Writes the keys and values of one token's heads to its page, a chunk a thread. What fills up the last chunk
// of a row is zero.
template <class E>
QUIRE_DEV void store_token(const TokenSlot<KvTypes<E, E>>& to, const NativePage& layout, int num_heads,
                           const E* k, const E* v) {
  constexpr int kUnit = kChunkElems<E>;
  const int k_chunks = layout.stored_k_dim() / kUnit, chunks = k_chunks + layout.stored_v_dim() / kUnit;
  for (int i = thread_idx(); i < num_heads * chunks; i += num_threads()) {
    const int head = i / chunks, chunk = i % chunks;
    const bool is_value = chunk >= k_chunks;
    const int dim = is_value ? layout.head_dim_vo : layout.head_dim_qk,
              first = (is_value ? chunk - k_chunks : chunk) * kUnit;
    unsigned bits[4];
    load_chunk(bits, (is_value ? v : k) + long{head} * dim, first, dim);
    E* page = (is_value ? to.v : to.k) + head * to.head_stride;
    store_bits(page + (is_value ? layout.v_offset(to.token, first) : layout.k_offset(to.token, first)), bits);
  }
}

}  // namespace QUIRE_TARGET
}  // namespace quire
