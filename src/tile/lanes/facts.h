// Numbers that the tile text of a machine of lanes and the host half of its target both need. Plain
// constants: both include this file.
#pragma once

namespace quire {

// Items of up to kFewRows rows take the form of a kernel for few rows; in the form for many rows each warp
// has kFewRows of them.
constexpr int kFewRows = 16;
// Elements of a row that a lane of an elementwise kernel processes at once.
constexpr int kSpanElems = 8;
// Shared memory for values that warps exchange.
constexpr int kExchangeBytesPerWarp = 256;
// Shared memory for mbarriers and for work items on their way to the consumers, where producer warps fill
// rings.
constexpr int kBarrierBytes = 512;

}  // namespace quire
