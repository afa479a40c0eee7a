// Tiles of the attention kernel on NVIDIA chips: which ones fit and can be compiled, and which are used
// without measurements. `sm` is a kernel family (kernel_family): 80, 86, 89, 90, 100, 120.
#pragma once

#include <string>
#include <vector>

#include "targets/jit/tile_rules.h"

namespace quire {

int shared_limit(int sm);           // bytes of shared memory that a block may have
int exchange_bytes(int num_warps);  // the part of it for values that warps exchange
int tiles_bytes(const AttentionClass& problem,
                const AttentionTiles& tiles);  // of shared memory that a block needs

// The head sizes that an attention kernel is compiled for. With producer warps: `heads`, rounded up to whole
// chunks of 16 bytes as in pages. Without: the bound.
HeadShape compiled_heads_of(DType dtype, HeadShape heads, int sm);

// The columns of V for which the registers of a program hold sums.
int value_cols_of(const AttentionClass& problem);

// Warpgroups on chips that have them. On others the largest tiles and the deepest ring that fit, with two
// blocks on a multiprocessor if registers allow that.
AttentionTuning heuristic_config(const AttentionClass& problem, int sm);

// Empty, or why the kernel cannot be compiled or started with these tiles, with the numbers.
std::string why_illegal_tiles(const AttentionClass& problem, const AttentionTiles& tiles, int sm);

// All legal tiles that are worth a try, each once, beginning with those of the heuristics. For decode they
// differ only in the tiles of few rows, for prefill only in those of many rows.
std::vector<AttentionTiles> legal_tiles_of(const AttentionClass& problem, int sm);

}  // namespace quire
