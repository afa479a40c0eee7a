// What a GPU target defines for one family of its chips, so that the catalogue can be compiled for it: tiles
// that fit, the compiler's options, and the source around a kernel's text. Everything else is shared.
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

  // Attention: the tuning that is used without measurements; why tiles are illegal (empty if they are not);
  // all tiles that are worth a try, those of the heuristics first; the threads and memory of a kernel.
  // `is_exact`: heads have exactly the sizes that the kernel is compiled for, and rows are whole pieces of 16
  // bytes.
  virtual AttentionTuning heuristics(const AttentionClass& problem) const = 0;
  virtual std::string why_illegal(const AttentionClass& problem, const AttentionTiles& tiles) const = 0;
  virtual std::vector<AttentionTiles> legal_tiles(const AttentionClass& problem) const = 0;
  virtual KernelShape attention_shape(const AttentionClass& problem, const AttentionTiles& tiles,
                                      bool is_exact) const = 0;

  // The head sizes, at least `heads`, for which an attention kernel with producer warps is compiled. One
  // without takes any heads up to its bound.
  virtual HeadShape compiled_heads(DType, HeadShape heads) const {
    return heads_of_bound(head_dim_bound(std::max(heads.qk, heads.vo)));
  }

  // The columns of V for which a program's registers hold sums, a divisor of the bound of V. For more columns
  // attention goes over the keys several times.
  virtual int value_cols(const AttentionClass& problem) const = 0;

  virtual LinearTiles linear(DType x, bool is_many) const = 0;

  // For kernels without tiles, by name, with blocks of `threads`. `is_ragged`: rows may not be whole spans.
  virtual KernelShape row_shape(const std::string& name, DType dtype, int threads, bool is_ragged) const = 0;

  // The compiler's options for every kernel, among them the target's namespace and headers.
  virtual std::vector<std::string> common_options() const = 0;

  // "targets/cuda/tile/": the folder of headers that the catalogue names without one.
  virtual std::string tile_folder() const = 0;

  // The source of the entry function up to its body, in which `p` is the params and `state` a LaunchState.
  virtual std::string entry_head(const char* params, int threads, int blocks_per_unit) const = 0;
};

constexpr int many_rows(const AttentionTiles& tiles) { return kFewRows * tiles.num_warps; }

}  // namespace quire
