// The tile language: all that a kernel may say. A kernel header includes this file and nothing else of the
// language; the translation unit (or the run-time compiler's command line) chooses the target by two macros:
//   QUIRE_TARGET         the namespace of target and kernels, one for each target and instruction-set level
//   QUIRE_TARGET_HEADER  the target's umbrella header, which defines every name below
// docs/tile.md has a glossary, what each word costs, and the rules that a kernel keeps.
//
// Shapes in <> are compile-time maxima. How a tile is stored is the target's business. Tiles with storage are
// made from a Program, which owns the memory that they take, and live until its current work item ends.
//
// Types
//   Program                one instance of a kernel: a thread block, a task
//   Operand<E, M, K>       left operand of a dot: M rows of K elements of type E
//   Accum<M, N>            f32 sums
//   Scores<M, N>           f32 scores, which become the left operand of the next dot
//   Row<M>                 one f32 a row
//   KvStage<Kv, M, N>      for M rows: N keys and values of one KV head, in the native page layout
//   LinearStage<X, W, M, N, K>   a step of a linear layer: M rows of x and N columns of a weight with view W,
//                          K elements of each
//   NativePage, native_page<Kv>(page_size, dim_qk, dim_vo)   index maps: where elements lie in a head's page
//   Bins                   256 counts and sums of whole numbers, read by count(bin) and mass(bin)
//
// Copies between memory and tiles
//   load_rows(operand, rows, cols, f)         row r is read from the pointer f(r)
//   load_pages(stage, view, begin, end)       starts copying keys and values [begin, end): outside of them
//                                             values are 0 and keys are undefined
//   load_block(stage, x, weight, cols, k)     starts copying blocks of x and of the weight to a LinearStage
//   store_rows(accum, rows, cols, f)          row r is written to the pointer f(r), rounded to its elements
//   store_rows(accum, factor, rows, cols, f)  the same, with row r multiplied by factor[r]
//   store_row(row, rows, p)                   one f32 a row to p[0 ... rows - 1]
//   gather_row(row, rows, f(r))               row[r] = f(r)
//   scatter_row(row, rows, f(r))              row[r] is written to the pointer f(r)
//   store_token(slot, page, num_heads, k, v)  one token's keys and values into its page, by the index maps
//   prefetch_row(p, n)                        brings constant memory that will be read soon into a cache; may
//                                             come before for_each_work
//
// Arithmetic on tiles
//   dot(scores, q, stage)                   scores = q K^T
//   dot_add(out, probs, stage)              out += probs V
//   dot_add(out, linear_stage)              out += x W^T
//   fill(accum, rows, cols, x)              every element of the active part becomes x
//   each(scores, f(col, x, r...), row...)   x = f(col, x, values of the row); col and x may be vectors
//   each_span(accum, cols, f(i, x))         x = f(i, x), where i is a span of columns: for operands that lie
//                                           along the columns, such as a bias
//   row_map(row, rows, f(r, x...), row...)  row[r] = f(r, other rows at r)
//   row_max(row, scores)                    row[r] = max(row[r], maximum of the scores' row r)
//   exp2_rows(scores, scale, m, d)          x = exp2(scale (x - m)), 0 where x = -inf; adds each row's sum to
//                                           d, which has the whole sum after complete_sum(d)
//   row_scale(accum, row)                   every element times its row's value
//
// Loops and programs
//   pipeline(program, num_tiles, stage, scores, loads, score, update, accumulate)
//       Runs the four parts for each tile and decides their order, overlap, and which threads run which part.
//       loads = PipelineLoads{operand, tile}: operand() is called once, tile(stage, i) for each tile.
//   pipeline_work(program, n, num_steps, stage, load, accumulate, finish)
//       for_each_work over items that each are num_steps loads and accumulations; loads may run ahead into
//       the next item, so that tiles are made outside of it.
//   for_each_work(program, n, f)            the programs of a launch share the items 0 ... n - 1
//   for_each_work(program, n, items, f)     the same with f(items[i]), for *n items in memory; no launch
//                                           writes items or page tables
//   column_pieces<M>(n, most)               the columns of a linear layer in pieces for work items
//   row_pieces(n)                           a row in pieces that are each worth a program
//   join_max(row), join_sum(row)            A program may consist of parts that share the keys of each tile
//                                           but have rows and sums of their own. These give all parts the
//                                           maximum, or the sum, over the parts.
//   last_arrival(program, counter, n)       true for the last of n programs that call it; resets the counter
//
// Elementwise work on plain rows in memory; i is one or several elements
//   map(n, f(i)), map(num_rows, n, f(row, i))   f may load and store elements i
//   reduce_sum(n, f(i)), reduce_max(n, f(i))    f is pure: it may be called more than once for an element
//   for_each_ordered<M>(n, load(j), use(x))     use(load(0)), ..., use(load(n - 1)) in this order, with up to
//                                               M loads in flight at once
//   load(p, i), store(p, i, x)              elements i of a row as f32; stores round to nearest even
//   load_fresh(p), load_fresh(p, i)         f32 values that other programs of this launch have written
//   index(i), zeros(i)                      the numbers of elements i; zeros of the same shape
//   is_first(i)                             whether i begins the row
//   select, exp2, log2, tanh, erf, sqrt, rsqrt, to_f32, round_to<E>, bits_of, from_bits
//
// Whole numbers, whose sums do not depend on the order
//   integer_sum(n, f(i)), to_integer(x)     the sum in 64 bits of f(i) >= 0, each rounded to a whole number;
//                                           one number, rounded
//   find_in_sum(program, n, target, f(i))   the first element at which the running sum exceeds target, or n
//   clear(bins), sum_bins(bins)             all bins become 0; each becomes the sum of it and those before
//   add_to_bins(bins, n, x(i), weight(x), bin(x))   elements of weight 0 or with a bin outside [0, 256) are
//                                           left out
//   give_bins(counts, masses, bins)         adds the bins to arrays that several programs add to
//   take_bins(bins, counts, masses)         by the last arrival: reads those arrays and resets them to 0
//   append(list, counter, most, n, x(i), wanted(x))   appends the values wanted, in no order; those beyond
//                                           `most` are counted and not stored
//   take_count(counter)                     by the last arrival: how many were wanted; resets the counter
#pragma once

#ifndef QUIRE_TARGET
#error "define QUIRE_TARGET and QUIRE_TARGET_HEADER before including tile/tile.h"
#endif

#include QUIRE_TARGET_HEADER
