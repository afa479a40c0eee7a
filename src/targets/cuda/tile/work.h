// Work items of programs with producer warps, which run ahead of the consumer warps.
#pragma once

#include "targets/cuda/tile/program.h"
#include "tile/lanes/work.h"

namespace quire {
namespace QUIRE_TARGET {

#if QUIRE_PRODUCER
// Registers of a thread. At the start each of the three warpgroups has 168; a producer thread keeps fewer.
constexpr int kProducerRegisters = QUIRE_PRODUCER, kComputeRegisters = (3 * 168 - kProducerRegisters) / 2;

// An item that a producer thread hands to all others.
template <class T>
struct ItemSlot {
  int idx;
  T item;  // undefined if idx is not less than the number of items
};
template <class T>
QUIRE_DEV ItemSlot<T>& item_slot(int slot) {
  constexpr int kBytes = 128, kOffset = round_up(kNumBarriers * 8, 16);
  static_assert(sizeof(ItemSlot<T>) <= kBytes && kOffset + 2 * kBytes <= kBarrierBytes - 4,
                "two slots and exchange_item");
  return *reinterpret_cast<ItemSlot<T>*>(mbarrier_at(0) + kOffset + slot * kBytes);
}

// Producer warps may fill slots for the next item while consumer warps finish this one. One producer thread
// fetches the items and hands them on through two slots, so that no other thread waits for global memory.
template <class T, class F>
QUIRE_DEV void take_items(Program& program, const int* num, const T* items, const F& f) {
  ItemSlot<T> current{block_idx(), items[block_idx()]};  // its latency overlaps with that of *num
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

// Shares the items among the programs of the launch. `items` has memory for at least one item a program. The
// next item is fetched before f is called for this one. Count and items come from the host, so that they can
// be read before earlier launches end; f itself calls wait_for_earlier_launches as late as it can. The first
// program calls it in any case, so that no launch ends before an earlier one.
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
