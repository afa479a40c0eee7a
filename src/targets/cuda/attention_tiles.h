// Tiles of the attention kernel on NVIDIA chips: what fits, what the kernel's text can be compiled with, and what is chosen where nothing
// was measured. `sm` is a kernel family (kernel_family): 80, 86, 89, 90, 100, 120.
#pragma once

#include <string>
#include <vector>

#include "targets/jit/tile_rules.h"

namespace quire {

int shared_limit(int sm);              // bytes of shared memory that a block may have
int exchange_bytes(int num_warps);     // of it, for values that warps exchange
int tiles_bytes(const AttentionClass& problem, const AttentionTiles& tiles);  // of shared memory that a block needs

// Head sizes that an attention kernel with a producer is compiled for: whole chunks of 16 bytes, as in pages.
// Without one: the bound.
HeadShape compiled_heads_of(DType dtype, HeadShape heads, int sm);

// Columns of V that a program's registers hold sums of.
int value_cols_of(const AttentionClass& problem);

// Warpgroups where the chip has them. Otherwise the largest tiles and deepest ring that fit, two blocks to a multiprocessor where
// registers allow that.
AttentionTuning heuristic_config(const AttentionClass& problem, int sm);

// Empty, or why the kernel cannot be compiled or started with these tiles, with the numbers.
std::string why_illegal_tiles(const AttentionClass& problem, const AttentionTiles& tiles, int sm);

// All tiles that are worth a try: none illegal, none twice, the heuristics' choice first. For decode only the tiles of few rows
// differ, for prefill only those of many rows.
std::vector<AttentionTiles> legal_tiles_of(const AttentionClass& problem, int sm);

}  // namespace quire
