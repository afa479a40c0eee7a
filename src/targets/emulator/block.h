// One thread block on one host thread. Its lanes are fibers. A collective operation is performed when the
// last lane arrives, an asynchronous one when somebody waits for it, which is as late as the rules allow.
// Whatever breaks a rule ends the launch with an Error that names block, warp, lane and operation:
//   divergence   lanes of a warp meet at different collectives, or some have ended
//   deadlock     every lane waits for something that no other can do
//   shared memory  see shared_memory.h; global memory: an access outside of the device's buffers
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "targets/emulator/clocks.h"
#include "targets/emulator/global_writes.h"
#include "targets/emulator/instructions.h"
#include "targets/emulator/lane_stacks.h"
#include "targets/emulator/shared_memory.h"
#include "targets/jit/memory_map.h"

namespace quire {

// Which lane runs next, of those that can: a mistake in synchronisation may show in one order only.
enum class LaneOrder : std::uint8_t { kForward, kReversed, kShuffled };

struct BlockShape {
  int num_threads = 32;  // a multiple of 32, up to 1,024
  std::size_t shared_bytes = 0;
  int block_idx = 0, num_blocks = 1;
  LaneOrder order = LaneOrder::kForward;
  std::uint64_t seed = 1;  // of kShuffled
};

// What the blocks of a launch share. Either may be null: then global memory is not checked in this respect.
struct LaunchMemory {
  const MemoryMap* map = nullptr;
  GlobalWrites* writes = nullptr;
};

class Block {
 public:
  static constexpr int kMaxThreads = 1024, kNumNamedBarriers = 16, kMaxMbarriers = 64;

  // Runs `lane` on every lane. Throws Error{kInternal} with the first mistake; objects on the stacks of lanes
  // are then not destroyed.
  void run(const BlockShape& shape, const LaunchMemory& memory, const std::function<void()>& lane);

  // The functions from here on are for lanes. The block that runs on this thread; null outside of lanes.
  static Block* current();

  const BlockShape& shape() const { return shape_; }
  int thread_idx() const { return current_; }
  SharedMemory& shared() { return shared_; }

  // A plain access to memory by the current lane's code.
  void access(const void* p, std::size_t bytes, bool is_write);

  int atomic_add(int* counter, int x);
  void atomic_add(unsigned long long* sum, unsigned long long x);
  unsigned atomic_add_shared(unsigned* sum, unsigned x);
  void atomic_store(int* counter, int x);
  template <class T>
  T load_fresh(const T* p) {
    check_fresh(p, sizeof(T));
    return *p;
  }
  void check_alignment(const void* p, int bytes);

  void named_barrier(int barrier, int count, bool waits);
  void warp_barrier();
  float shuffle_xor(float x, int mask);
  void load_matrix(MatrixOperands operands, bool transposed);
  void multiply_step(emulator::Element16 type, StepOperands operands);

  void copy_async_16(void* to, const void* from, bool valid);
  void copy_async_commit();
  void copy_async_wait(int pending);

  void multiply_warpgroup(const emulator::WarpgroupProduct& product);
  void warpgroup_fence();
  void warpgroup_commit();
  void warpgroup_wait(int pending);

  void mbarrier_init(void* barrier, int count);
  void mbarrier_arrive(void* barrier, int expected_bytes);
  void mbarrier_expect(void* barrier, int bytes);
  void mbarrier_wait(void* barrier, int parity);
  void copy_bulk(void* to, const void* from, int bytes, void* barrier);

 private:
  static constexpr std::uint32_t kSumsInFlight = 0xff85a5a5;  // a signalling NaN

  enum class OpKind : std::uint8_t {
    kNone,
    kBarrier,
    kWarpBarrier,
    kShuffle,
    kLoadMatrix,
    kLoadMatrixTransposed,
    kMultiplyStep,
    kWarpgroupFence,
    kWarpgroupWait,
    kMbarrierWait,
  };
  struct Operation {
    OpKind kind = OpKind::kNone;
    int detail = 0;  // what must be the same for all
    bool operator==(const Operation&) const = default;
    std::string text() const;
  };
  struct Copy {
    char* to;
    const void* from;  // null: zeros
    std::size_t bytes;
  };
  struct Product {
    emulator::WarpgroupProduct request;
    std::array<unsigned, 4> left;
    std::vector<float> sums;  // what c holds, unless a product before this one in flight has it
    bool is_done = false;
  };
  template <class T>
  struct Groups {  // those that are committed, and what belongs to the next
    std::deque<std::vector<T>> committed;
    std::vector<T> open;
    void commit() { committed.push_back(std::exchange(open, {})); }
  };
  struct Lane {
    void* context = nullptr;
    StackSwitch stack_switch;
    Operation waits_for;
    bool has_ended = false;
    Groups<Copy> copies;
    Groups<Product> products;
    bool is_fenced = false;  // wgmma.fence since the last wait

    Product* find_product(const float* c);  // the oldest in flight with these sums, or null
  };
  struct Warp {
    Operation operation;
    int num_arrived = 0;
    int num_elsewhere = 0;  // at barriers of the block, or ended
    OfLanes<void*> operands;
    std::uint32_t ready = 0;
  };
  // Four warps: all execute the same fences and waits in the same order (PTX ISA: wgmma, ".aligned").
  struct Warpgroup {
    std::deque<Operation> log;  // from the one that some warp has not come to
    std::size_t num_dropped = 0;
    std::array<std::size_t, 4> done{};  // by each warp
  };
  struct NamedBarrier {
    int count = 0;
    std::vector<int> arrived;  // all
    std::vector<int> waiting;  // those that wait
    Clocks::Ticks board;       // of those that do not
  };
  struct Mbarrier {
    int engine;  // the thread of the clocks that this barrier's copies count as
    int count = 0, pending = 0;
    long bytes = 0;  // expected and not yet there
    int phase = 0;
    Clocks::Ticks board, completed;  // of the current phase, of the one before
    std::vector<Copy> copies;
    std::vector<int> waiting;
  };

  void start_lanes();
  void resume(int thread);
  int next_lane();
  [[noreturn]] void report_deadlock() const;
  static void lane_main(void* block);

  Lane& lane() { return lanes_[static_cast<std::size_t>(current_)]; }
  Warp& warp() { return warps_[static_cast<std::size_t>(current_ / kWarpLanes)]; }
  std::string place(int thread) const;
  void suspend(Operation operation);
  [[noreturn]] void end_lane();
  void release(int thread);
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) {
    fail_with(fmt::format(text, std::forward<Args>(args)...));
  }
  [[noreturn]] void fail_with(const std::string& text);
  void require(const char* what, const void* p, std::size_t bytes, const SharedMemory::Finding& finding);
  std::size_t shared_place(const char* what, const void* p, std::size_t bytes, std::size_t alignment);
  void check_global(const char* what, const void* p, std::size_t bytes);
  void check_fresh(const void* p, std::size_t bytes);

  // Returns when all lanes of the warp have called it with the same operation; perform(operands of all lanes)
  // has then been called once.
  template <class Operand, class Perform>
  void meet_warp(Operation operation, Operand* operand, const Perform& perform);
  void check_together(Operation operation);
  void note_of_warpgroup(Operation operation);
  void check_warpgroups();

  void perform(const Copy& copy, int owner, bool is_fenced);
  void take_sums(Product& product);
  void return_registers(Product& product, std::size_t lane);
  void perform_products(std::size_t num_groups);
  struct MatrixRows {
    std::uint64_t descriptor;
    int first, num;
    bool is_transposed;
  };
  using Row16 = std::array<std::uint16_t, 16>;
  std::vector<Row16> read_matrix(const MatrixRows& rows);
  std::vector<std::array<unsigned, 4>> read_left(const emulator::WarpgroupProduct& product);
  RightOperand read_right(const emulator::WarpgroupProduct& product);
  Mbarrier& mbarrier_at(const char* what, void* barrier);
  void check_phase(Mbarrier& barrier);
  void deliver(Mbarrier& barrier);

  BlockShape shape_;
  LaunchMemory memory_;
  GlobalWrites::Known known_;  // what counters told this block of others
  MemoryMap::Region last_region_;
  const std::function<void()>* body_ = nullptr;
  std::unique_ptr<LaneStacks> stacks_;
  std::unique_ptr<Clocks> clocks_;
  SharedMemory shared_;
  std::vector<Lane> lanes_;
  std::vector<Warp> warps_;
  std::vector<Warpgroup> warpgroups_;
  std::vector<int> threads_;  // 0, 1, 2 …
  std::vector<NamedBarrier> barriers_;
  std::map<std::size_t, Mbarrier> mbarriers_;  // by offset
  int current_ = -1, num_running_ = 0;
  void* scheduler_ = nullptr;
  StackSwitch::Stack scheduler_stack_;
  std::string fault_;
  std::uint64_t random_ = 1;
};

}  // namespace quire
