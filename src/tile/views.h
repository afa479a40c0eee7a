// How kernels name operands in memory.
#pragma once

#include "tile/ranges.h"

namespace quire {

// Element types of cached keys and values.
template <class K, class V>
struct KvTypes {
  using Key = K;
  using Value = V;
};

// Where the keys and values of one request and KV head are.
// Page: the target's type of a page, see tile.h.
template <class Kv, class Page>
struct KvView {
  const typename Kv::Key* pool;  // [num_pages, page_stride]: the K and V parts of all KV heads of a page
  const int* page_table;  // pages of the request; only those that hold tokens which are loaded are read
  long page_stride;       // elements from page to page
  long k_base, v_base;    // of this KV head inside a page, elements
  Page page;
  int end_key;  // keys from here on are not loaded; page numbers of earlier keys may be read ahead of time
};

// Where the keys and values of one token go: the K and the V part of the first KV head in its page.
template <class Kv>
struct TokenSlot {
  typename Kv::Key* k;
  typename Kv::Value* v;
  long head_stride;  // elements from head to head
  int token;         // in the page
};

// Rows of the left operand of a matrix product, and the packed weight [out_dim, in_dim] that they are
// multiplied with.
template <class E>
struct RowsView {
  const E* first;  // row 0
  long stride;     // elements from row to row
  int num;
};
template <class E>
struct WeightView {
  const E* first;
  int in_dim, out_dim;
};

}  // namespace quire
