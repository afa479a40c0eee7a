// How the programs of a launch share its work items, and how they find out which of them is the last.
// For any machine of lanes; included after the target's program.h.
#pragma once

namespace quire {
namespace QUIRE_TARGET {

// Whether items are taken from a queue. Otherwise item i goes to program i mod the number of programs.
QUIRE_DEV bool is_queue_needed(const BlockProgram& program, int n) {
  return program.counters != nullptr && n > num_blocks();
}
QUIRE_DEV int fetch_item(const BlockProgram& program) {
  return atomic_add(program.counters, 1) + num_blocks();
}

// By one thread of each block after its last item: the last of them resets the counters for the next launch.
QUIRE_DEV void leave_queue(const BlockProgram& program) {
  if (atomic_add(program.counters + 1, 1) < num_blocks() - 1) return;
  atomic_store(program.counters, 0);
  atomic_store(program.counters + 1, 0);
}

#if !QUIRE_PRODUCER  // with producer warps the target has its own for_each_work: they take items ahead of
                     // time
template <class F>
QUIRE_DEV void for_each_work(Program& program, int n, const F& f) {
  wait_for_earlier_launches();
  const bool is_queue = is_queue_needed(program, n);
  int item = block_idx();
  while (item < n) {
    int next = item + num_blocks();
    if (is_queue && thread_idx() == 0) next = fetch_item(program);
    program.used = kReservedBytes;
    f(item);
    if (is_queue) {
      block_barrier();
      if (thread_idx() == 0) *exchange_item() = next;
      block_barrier();
      next = *exchange_item();
    }
    item = next;
  }
  if (is_queue && thread_idx() == 0) leave_queue(program);
}
template <class T, class F>
QUIRE_DEV void for_each_work(Program& program, const int* n, const T* items, const F& f) {
  for_each_work(program, *n, [&](int item) { f(items[item]); });
}
#endif

// True for the last of n programs that arrive; it then sees what the others wrote before they arrived. The
// counter is 0 again.
QUIRE_DEV bool last_arrival(Program&, int* counter, int n) {
  if (is_producer()) return false;
  consumer_barrier();
  if (thread_idx() == 0) {
    device_fence();  // covers the writes of all warps, which the barrier has ordered before this
    const int arrived = atomic_add(counter, 1) + 1;
    if (arrived == n) atomic_store(counter, 0);
    device_fence();
    *exchange_item() = arrived;
  }
  consumer_barrier();
  return *exchange_item() == n;
}

}  // namespace QUIRE_TARGET
}  // namespace quire
