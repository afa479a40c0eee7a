// How kernels find keys and values in pages.
#pragma once

#include "targets/cuda/tile/left_operand.h"

namespace quire {
namespace QUIRE_TARGET {

using NativePage = SwizzledPage;
template <class Kv>
constexpr NativePage native_page(int page_size, int head_dim_qk, int head_dim_vo) {
  return {page_size, head_dim_qk, head_dim_vo, kChunkElems<typename Kv::Key>};
}

// A ring of tiles, see thread_ring.h and producer_ring.h. Kv: KvTypes.
template <class Kv, int max_rows, int max_keys>
struct KvStage;

template <class E>
struct PagedToken {
  const E* page;
  int token;  // in the page; negative: none
};

// token / page size for token < 2^31 without a division: the quotient by multiplication is right or one too small.
struct PageIndex {
  int size;
  unsigned reciprocal;
  QUIRE_DEV explicit PageIndex(int page_size) : size(page_size), reciprocal(0xffffffffu / static_cast<unsigned>(page_size)) {}
  QUIRE_DEV int of(int token) const {
    const int page = static_cast<int>(multiply_high(static_cast<unsigned>(token), reciprocal));
    return page + (token - page * size >= size ? 1 : 0);
  }
};

// Where a key lies, if it is one of [begin, end).
template <class E>
QUIRE_DEV PagedToken<E> find_token(const KvView<KvTypes<E, E>, NativePage>& view, const PageIndex& pages, int key, int begin, int end) {
  const bool is_there = key >= begin && key < end;
  const int page = pages.of(key);
  return {view.pool + (is_there ? view.page_table[page] * view.page_stride : 0), is_there ? key - page * pages.size : -1};
}

}  // namespace QUIRE_TARGET
}  // namespace quire
