// A block's shared memory, with a record of which thread accessed what and when. It starts as poison. Each
// access is checked against those before it; the mistakes are:
//   never written  a read before anything was stored there
//   race           another thread wrote it, or read what is overwritten now, without a barrier in between
//   in flight      it is the target of an asynchronous copy that nobody has waited for
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "targets/emulator/clocks.h"

namespace quire {

class SharedMemory {
 public:
  static constexpr std::size_t kGranuleBytes = 2;   // what is told apart: the smallest element
  static constexpr std::size_t kGuardBytes = 4096;  // before and behind: an access there is a mistake
  static constexpr std::uint16_t kPoison =
      0x7fbf;  // NaN in every element type, a signalling one in f32 and bf16

  // All poison and untouched. `clocks` outlives the use.
  void reset(std::size_t num_bytes, const Clocks& clocks);

  char* data() const { return base_; }
  std::size_t num_bytes() const { return num_bytes_; }
  // Offset of an address; at least num_bytes() if it is outside.
  std::size_t offset_of(const void* p) const {
    return static_cast<std::size_t>(static_cast<const char*>(p) - base_);
  }
  bool is_near(const void* p) const { return offset_of(p) + kGuardBytes < num_bytes_ + 2 * kGuardBytes; }

  // What is wrong with the access; empty if it is allowed, and then it is recorded. `by_matrix_unit`: the
  // access of a warpgroup product, which sees only what its writer has fenced. It may read what nobody has
  // written, since its shape is fixed: the poison there becomes NaN in the sums that depend on it.
  using Finding = std::optional<std::string>;
  Finding read(int thread, std::size_t offset, std::size_t bytes, bool by_matrix_unit = false);
  Finding write(int thread, std::size_t offset, std::size_t bytes);
  // An atomic addition: a read and a write, except that additions of several threads may come in any order.
  Finding add(int thread, std::size_t offset, std::size_t bytes);

  // An asynchronous copy: from its start on the memory is poison; when it ends it counts as a write of
  // `thread`.
  Finding begin_copy(int thread, std::size_t offset, std::size_t bytes);
  void end_copy(int thread, std::size_t offset, std::size_t bytes, bool is_fenced = false);

  // fence.proxy.async of a thread.
  void fence(int thread) { fenced_[static_cast<std::size_t>(thread)] = clocks_->now(thread); }

 private:
  // Who and when, in one word; 0 is nobody.
  struct Access {
    static constexpr unsigned kTickBits = 21, kInFlight = (1u << kTickBits) - 1;
    std::uint32_t word = 0;

    static Access of(int thread, unsigned tick) {
      return {static_cast<std::uint32_t>(thread + 1) << kTickBits | tick};
    }
    bool is_none() const { return word == 0; }
    int thread() const { return static_cast<int>(word >> kTickBits) - 1; }
    unsigned tick() const { return word & kInFlight; }
    bool is_in_flight() const { return tick() == kInFlight; }
    bool operator==(const Access&) const = default;
  };
  // Of the accesses since the last write one that others do not know of is enough to find a race. Four are
  // kept, by warp.
  using Accesses = std::array<Access, 4>;
  struct Granule {
    Access written;
    Accesses readers;
  };

  Access now(int thread) const;
  bool has_seen(int thread, Access other) const {
    return clocks_->has_seen(thread, other.thread(), other.tick());
  }
  Finding check_read(int thread, Access written, bool by_matrix_unit) const;
  Finding check_write(int thread, const Granule& granule) const;
  Finding check_written(int thread, Access written) const;
  Finding check_seen(int thread, const Accesses& others, const char* what) const;
  Finding check_added(int thread, const Granule& granule) const;
  void forget_added(const Granule& granule) {
    if (!added_.empty()) added_.erase(&granule);
  }
  void note(Access& place, Access me, int thread) const {
    if (place != me && (place.is_none() || has_seen(thread, place))) place = me;
  }
  template <class F>
  Finding each_granule(std::size_t offset, std::size_t bytes, const F& f);

  std::vector<char> memory_;
  char* base_ = nullptr;
  std::size_t num_bytes_ = 0;
  std::vector<Granule> granules_;
  std::unordered_map<const Granule*, Accesses> added_;  // of few granules
  const Clocks* clocks_ = nullptr;
  std::vector<unsigned> fenced_;  // by thread: the tick of its last fence
};

}  // namespace quire
