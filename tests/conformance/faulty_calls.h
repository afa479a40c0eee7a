// Faults in kernels that are compiled with faulty_simt.h. A site is one call in the machine code of a kernel;
// sites are numbered in the order in which they are met first.
#pragma once

#include <string>
#include <vector>

namespace quire {

enum class FaultKind {
  kNone,
  kSkip,             // the sites' barriers, fences and waits are left out
  kWaitLess,         // the sites' waits leave one group more pending
  kWrongShuffle,     // from here on for every call: lanes exchange with a neighbour further on
  kWrongSwizzle,     // copies land in the neighbouring chunk for odd rows
  kWrongRow,         // load_matrix takes its rows from the wrong lanes' addresses
  kNotTransposed,    // load_matrix_transposed loads as it lies
  kSwappedLeft,      // registers 1 and 2 of the left fragment
  kSwappedRight,     // the two registers of the right fragment
  kSwappedSums,      // registers 1 and 2 of the sums
  kWrongDescriptor,  // the right operand of a warpgroup product begins one step of k later
};

enum class SiteKind {
  kBlockBarrier,
  kNamedBarrier,  // waiting or not
  kWarpBarrier,
  kCopyWait,
  kWarpgroupFence,
  kWarpgroupWait,
  kSharedMemoryFence,
  kArrival,
  kArrivalWait
};
const char* to_string(SiteKind kind);

struct Site {
  SiteKind kind;
  const void* address;
};

// Plants a fault; kNone takes it away. `sites` are addresses, for the first two kinds.
void plant(FaultKind kind, std::vector<const void*> sites = {});

// Sites that were met since the last call.
std::vector<Site> take_sites();

}  // namespace quire
