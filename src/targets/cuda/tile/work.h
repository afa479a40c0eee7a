// Work items where a producer goes ahead of the team.
#pragma once

#include "targets/cuda/tile/program.h"
#include "tile/lanes/work.h"

namespace quire {
namespace QUIRE_TARGET {

#if QUIRE_PRODUCER
// Registers of a thread: at the start each warpgroup has a third of what there is.
constexpr int kProducerRegisters = QUIRE_PRODUCER, kComputeRegisters = (3 * 168 - kProducerRegisters) / 2;

// An item on its way from the producer to all others.
template <class T>
struct ItemSlot {
  int idx;
  T item;  // if idx is one
};
template <class T>
QUIRE_DEV ItemSlot<T>& item_slot(int slot) {
  constexpr int kBytes = 128, kOffset = round_up(kNumBarriers * 8, 16);
  static_assert(sizeof(ItemSlot<T>) <= kBytes && kOffset + 2 * kBytes <= kBarrierBytes - 4,
                "two slots and exchange_item");
  return *reinterpret_cast<ItemSlot<T>*>(mbarrier_at(0) + kOffset + slot * kBytes);
}

// The producer goes ahead of the team: it may fill slots for the next item while the team ends this one. One
// of its threads fetches items, so that no one else waits for memory.
template <class T, class F>
QUIRE_DEV void take_items(Program& program, const int* num, const T* items, const F& f) {
  ItemSlot<T> current{block_idx(), items[block_idx()]};  // read while `num` is
  const int n = *num;
  const bool is_queue = is_queue_needed(program, n), fetches = thread_idx() == kWarps * kLaneCount;
  RingPlace at;
  while (current.idx < n) {
    int next = current.idx + num_blocks();
    if (is_queue && fetches) {
      wait_for_earlier_launches();
      next = fetch_item(program);
    }
    program.used = kReservedBytes;
    f(current.item);
    if (!is_queue) {
      current.idx = next;
      if (next < n) current.item = items[next];
      continue;
    }
    ItemSlot<T>& slot = item_slot<T>(at.slot);
    if (fetches) {
      mbarrier_wait(mbarrier_at(kItemFree + at.slot), at.phase ^ 1);
      slot.idx = next;
      if (next < n) slot.item = items[next];
      mbarrier_arrive(mbarrier_at(kItemFull + at.slot));
    }
    mbarrier_wait(mbarrier_at(kItemFull + at.slot), at.phase);
    current.idx = slot.idx;
    if (current.idx < n) current.item = slot.item;
    count_warp(kItemFree + at.slot);
    at.advance(2);
  }
  if (is_queue && fetches) leave_queue(program);
}

// Items of a launch, each done once; there is memory of one for each program, if not more. The item after
// this one is asked for before this one is worked on. Numbers and items come from the host; f itself waits
// for earlier launches, as late as it can. That the first program does so in any case lets no launch end
// before an earlier one.
template <class T, class F>
QUIRE_DEV void for_each_work(Program& program, const int* num, const T* items, const F& f) {
  if (is_producer()) {
    give_registers<kProducerRegisters>();
    take_items(program, num, items, f);
  } else {
    take_registers<kComputeRegisters>();
    take_items(program, num, items, f);
  }
  if (block_idx() == 0) wait_for_earlier_launches();
}
#endif

}  // namespace QUIRE_TARGET
}  // namespace quire
