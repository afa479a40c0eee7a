// The order in which a ring of stages in shared memory is filled and read, for any machine of lanes whose
// warps start copies that they wait for later. Included after the target's tiles and work.h.
#pragma once

namespace quire {
namespace QUIRE_TARGET {

// All warps of the program fill and read the ring. A Stage has kStages slots; kIsOfWarps is true if each warp
// reads only what it has copied itself; select(tile) makes a tile's slot the current one; set_origin() is
// called once the copy of tile 0 has been started.
template <class Stage, class Load, class Compute>
QUIRE_DEV void run_ring(int num_tiles, Stage& stage, const Load& load, const Compute& compute) {
  constexpr int kStages = Stage::kStages;
  for (int tile = 0; tile < kStages - 1; ++tile) {
    stage.select(tile);
    if (tile < num_tiles) load(stage, tile);
    if (tile == 0) stage.set_origin();
    copy_async_commit();
  }
  for (int tile = 0; tile < num_tiles; ++tile) {
    copy_async_wait<kStages - 2>();
    // After this barrier the tile is there for all its readers, and none still reads the slot that is filled
    // next.
    if (Stage::kIsOfWarps && tile > 0) {
      warp_barrier();
    } else {
      consumer_barrier();
    }
    const int ahead = tile + kStages - 1;
    if (ahead < num_tiles) {
      stage.select(ahead);
      load(stage, ahead);
    }
    copy_async_commit();
    stage.select(tile);
    compute(stage, tile);
  }
  copy_async_wait<0>();
  consumer_barrier();  // after this nobody reads the ring's memory
}

// Pieces of at most `most` columns. For few rows their number is a multiple of the number of programs, so
// that the shares of the programs differ by no more than one column an item.
template <int max_rows>
QUIRE_DEV Pieces column_pieces(int n, int most) {
  if (max_rows != kFewRows) return pieces_of_size(n, most);
  return pieces_by_number(n, n < num_blocks() ? n : num_blocks() * ceil_div(n, num_blocks() * most));
}

// The items of a launch, num_steps steps each, for few rows. The warps meet at no barrier but those of
// `finish`. Rings are filled with weights before this waits for the results of earlier launches.
template <class Stage, class Load, class Accumulate, class Finish>
QUIRE_DEV void run_streams(int num_items, int num_steps, Stage& stage, const Load& load,
                           const Accumulate& accumulate, const Finish& finish) {
  const int mine = block_idx() < num_items ? (num_items - 1 - block_idx()) / num_blocks() + 1 : 0,
            total = mine * num_steps;
  int ahead_item = block_idx(), ahead_step = 0;
  const auto fetch = [&](int slot) {
    stage.fill_slot = slot;
    load(stage, ahead_item, ahead_step);
    if (++ahead_step < num_steps) return;
    ahead_step = 0;
    ahead_item += num_blocks();
  };
  for (int i = 0; i < Stage::kStages; ++i) {
    if (i < total) fetch(i);
    copy_async_commit();
  }
  stage.is_paced = false;
  wait_for_earlier_launches();
  stage.prefetch_x(0);
  int item = block_idx(), step = 0, slot = 0;
  for (int i = 0; i < total; ++i) {
    stage.select(slot, step);
    stage.prefetch_x(step + 1 < num_steps ? step + 1 : 0);
    accumulate(stage, item, step);
    warp_barrier();  // all lanes are done with the slot
    if (i + Stage::kStages < total) fetch(slot);
    copy_async_commit();
    if (++slot == Stage::kStages) slot = 0;
    if (++step < num_steps) continue;
    finish(item);
    step = 0;
    item += num_blocks();
  }
}

template <class Stage, class Load, class Accumulate, class Finish>
QUIRE_DEV void pipeline_work(Program& program, int num_items, int num_steps, Stage& stage, const Load& load,
                             const Accumulate& accumulate, const Finish& finish) {
  if constexpr (Stage::kIsStream) {
    run_streams(num_items, num_steps, stage, load, accumulate, finish);
  } else {
    for_each_work(program, num_items, [&](int item) {
      run_ring(
          num_steps, stage, [&](auto& to, int step) { load(to, item, step); },
          [&](const auto& block, int step) { accumulate(block, item, step); });
      finish(item);
    });
  }
}

}  // namespace QUIRE_TARGET
}  // namespace quire
