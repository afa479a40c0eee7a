// The tile language: all that a kernel may say. A kernel header includes this file and nothing else of the language;
// the translation unit (or the run-time compiler's command line) chooses the target by two macros:
//   QUIRE_TARGET         the namespace that holds target and kernels, one for each target and instruction-set level
//   QUIRE_TARGET_HEADER  the target's umbrella header, which defines every name below
//
// Shapes in <> are compile-time maxima. A tile's storage is the target's business. Tiles with storage are made from a Program,
// which owns the memory that they take, and live until the program's current work item ends.
//
//   Program                          one instance of a kernel: a thread block, a task
//   NativePage, native_page<Kv>(page_size, dim_qk, dim_vo)   how one head's page lies in memory, by index maps
//   Operand<E, M, K>                 left operand of a dot: M rows of K elements of type E
//   Accum<M, N>                      f32 accumulators: sums
//   Scores<M, N>                     f32 scores, which become the left operand of the next dot
//   Row<M>                           one f32 a row
//   KvStage<Kv, M, N>                for M rows: N keys and values of one KV head, in the native page layout
//   LinearStage<X, W, M, N, K>       a step of a linear layer: M rows of x and N columns of a weight with view W, K elements of each
//
//   load_rows(operand, rows, cols, f)       row r from the pointer f(r); cost: one read of the rows
//   load_pages(stage, view, begin, end)     start copying keys [begin, end); values outside are 0, keys outside are undefined
//   load_block(stage, x, weight, cols, k)   start copying a block of x and of the weight into a LinearStage
//   store_rows(accum, rows, cols, f)        row r to the pointer f(r), rounded to its element type
//   store_rows(accum, factor, rows, cols, f)  the same, times factor[r]
//   dot(scores, q, stage)                   scores = q K^T
//   dot_add(out, probs, stage)              out += probs V
//   dot_add(out, linear_stage)              out += x W^T
//   fill(accum, rows, cols, x)              every element of the active part
//   each(scores, f(col, x, r...), row...)   x := f(...) with the row's values; col and x are vectors where the target likes
//   row_map(row, rows, f(r, x...), row...)  row := f of other rows, elementwise
//   store_row(row, rows, p)                 one f32 a row
//   gather_row(row, rows, f(r)), scatter_row(row, rows, f(r))   one value a row from f(r), to the pointer f(r)
//   row_max(row, accum)                     row = max(row, maximum of the accum's row)
//   exp2_rows(accum, scale, m, d)           x := exp2(scale (x - m)), 0 where x = -inf; d += sum of the row,
//                                           which is whole after complete_sum(d)
//   row_scale(accum, row)                   every element times its row's value
//   pipeline(program, num_tiles, stage, scores, loads, score, update, accumulate)   the skeleton; owns order, roles and overlap;
//                                           PipelineLoads{operand, tile}: operand() once, tile(stage, i) for each tile
//   pipeline_work(program, n, num_steps, stage, load, accumulate, finish)   for_each_work of items that are such loops with nothing
//                                           between the two; loads may run ahead into the next item. Tiles are made outside of it
//   column_pieces<M>(n, most)                 the columns of a linear layer in pieces for work items
//   for_each_work(program, n, f)            a fixed grid takes items 0 … n - 1
//   for_each_work(program, n, items, f)     the same with f(items[i]), of *n items in memory, which no launch writes, nor page tables
//   A program of M rows may have parts that share the keys of each tile: between reset and join each has rows and sums of its own.
//   join_max(row), join_sum(row)            the same in all parts
//   last_arrival(program, counter, n)       true for the last of n programs that call it; resets the counter
//   store_token(slot, shape, num_heads, k, v)   one token's keys and values into its page, through the index maps
//   each_span(accum, cols, f(i, x))         with i a span of columns, for operands along the columns
//   map(n, f(i)), reduce_sum(n, f(i)), reduce_max(n, f(i))   elementwise work on rows; i is one or several elements. f of map may store
//                                           them; f of a reduction is pure, as it may be called more than once for an element
//   integer_sum(n, f(i)), to_integer(x)     the sum of f >= 0 rounded to whole numbers, in 64 bits: the same in any order; one number
//   find_in_sum(program, n, target, f(i))   the first element at which that running sum exceeds target; n if none
//   Bins                                    256 counts and sums of whole numbers, read by count(bin) and mass(bin)
//   clear(bins), sum_bins(bins)             all 0; each bin with those before it
//   add_to_bins(bins, n, x(i), weight(x), bin(x))   elements, but for those of weight 0 and those whose bin is not in [0, 256)
//   give_bins(counts, masses, bins), take_bins(bins, counts, masses)   added to memory; from there, which is 0 again, by the last arrival
//   append(list, counter, most, n, x(i), wanted(x))   values wanted, in no order; beyond `most` they are only counted
//   take_count(counter)                     how many, by the last arrival; the counter is 0 again
//   map(num_rows, n, f(row, i))             the same for n elements of each row
//   is_first(i)                             whether a row begins with it
//   for_each_ordered<M>(n, load(j), use(x))          use(load(0)) … use(load(n - 1)) in this order; up to M loads come together
//   load_fresh(p), load_fresh(p, i)         one f32, elements of a row: of what other programs of this launch wrote
//   row_pieces(n)                              a row in pieces that are worth a program of their own
//   prefetch_row(p, n)                      constant memory that will be read soon; may come before for_each_work
//   load(p, i), store(p, i, x)              elements i of a row as f32, rounded to nearest even on store
//   index(i), zeros(i)                      the numbers of the elements; zeros of their shape
//   select, exp2, log2, tanh, erf, sqrt, rsqrt, to_f32, round_to<E>, bits_of, from_bits
#pragma once

#ifndef QUIRE_TARGET
#error "define QUIRE_TARGET and QUIRE_TARGET_HEADER before including tile/tile.h"
#endif

#include QUIRE_TARGET_HEADER
