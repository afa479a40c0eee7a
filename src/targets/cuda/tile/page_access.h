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

// A ring of tiles of keys and values: thread_ring.h or producer_ring.h. Kv is a KvTypes.
template <class Kv, int max_rows, int max_keys>
struct KvStage;

}  // namespace QUIRE_TARGET
}  // namespace quire

#include "tile/lanes/pages.h"
