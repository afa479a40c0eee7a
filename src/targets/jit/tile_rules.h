// What a GPU target says of one family of its chips, so that the catalogue can be turned into kernels for it:
// tiles that fit, the compiler's options, and the words around a kernel's text. Everything else is shared.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "targets/jit/jit_kernel.h"
#include "tile/lanes/facts.h"
#include "tuning/attention_tuning.h"

namespace quire {

struct LinearTiles {
  int rows, cols, depth;  // of a step: rows of x, columns of y, elements of k
  KernelShape shape;
};

class TileRules {
 public:
  virtual ~TileRules() = default;

  // Attention: what is chosen where nothing was measured; why tiles cannot be (empty if they can); all that
  // are worth a try, the heuristics' choice first; and the machine's share. `is_exact`: heads are of
  // the sizes that the kernel is compiled for, and rows of whole pieces of 16 bytes.
  virtual AttentionTuning heuristics(const AttentionClass& problem) const = 0;
  virtual std::string why_illegal(const AttentionClass& problem, const AttentionTiles& tiles) const = 0;
  virtual std::vector<AttentionTiles> legal_tiles(const AttentionClass& problem) const = 0;
  virtual KernelShape attention_shape(const AttentionClass& problem, const AttentionTiles& tiles,
                                      bool is_exact) const = 0;

  // The head sizes, at least `heads`, for which an attention kernel with a producer is compiled. One without
  // takes any heads up to its bound.
  virtual HeadShape compiled_heads(DType, HeadShape heads) const {
    return heads_of_bound(head_dim_bound(std::max(heads.qk, heads.vo)));
  }

  // Columns of V whose sums a program's registers hold, a divisor of the bound of V: for more, attention goes
  // over the keys again.
  virtual int value_cols(const AttentionClass& problem) const = 0;

  virtual LinearTiles linear(DType x, bool is_many) const = 0;

  // Of kernels without tiles, by name, with blocks of `threads`. `is_ragged`: rows need not be of whole
  // spans.
  virtual KernelShape row_shape(const std::string& name, DType dtype, int threads, bool is_ragged) const = 0;

  // Options of every kernel, the target's namespace and headers among them.
  virtual std::vector<std::string> common_options() const = 0;

  // "targets/cuda/tile/": where headers without a folder stand.
  virtual std::string tile_folder() const = 0;

  // The head of the entry, up to its body: which sees the params as `p` and a LaunchState as `state`.
  virtual std::string entry_head(const char* params, int threads, int blocks_per_unit) const = 0;
};

constexpr int many_rows(const AttentionTiles& tiles) { return kFewRows * tiles.num_warps; }

}  // namespace quire
