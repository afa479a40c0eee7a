// Writes new keys and values to their slots in the native page layout. One work item is one token.
#pragma once

#include "kernels/params.h"
#include "tile/tile.h"

namespace quire {
namespace QUIRE_TARGET {

template <class E>
struct KvWrite {
  static QUIRE_DEV void run(Program& program, const KvWriteParams& p) {
    for_each_work(program, p.num_tokens, [&](int token) { write(p, token); });
  }

  static QUIRE_DEV void write(const KvWriteParams& p, int token) {
    const long slot = p.slot_mapping[token];
    if (slot < 0) return;
    const NativePage layout = native_page<KvTypes<E, E>>(p.page_size, p.head_dim_qk, p.head_dim_vo);
    E* page = static_cast<E*>(p.kv_pool) + slot / p.page_size * p.page_stride;
    const int offset = static_cast<int>(slot % p.page_size);
    store_token(TokenSlot<KvTypes<E, E>>{page, page + p.v_offset, p.head_stride, offset}, layout,
                p.num_kv_heads, static_cast<const E*>(p.k) + token * p.k_token_stride,
                static_cast<const E*>(p.v) + token * p.v_token_stride);
  }
};

}  // namespace QUIRE_TARGET
}  // namespace quire
