// Numbers that the tile text of a machine of lanes and the host half of its target both need. Plain
// constants: both include this file.
#pragma once

namespace quire {

constexpr int kFewRows =
    16;  // up to so many rows a program takes the form for few; of many, each warp takes so many
constexpr int kSpanElems = 8;               // of a row, that a lane of an elementwise kernel takes at once
constexpr int kExchangeBytesPerWarp = 256;  // of fast memory, for values that warps exchange
constexpr int kBarrierBytes =
    512;  // of fast memory, for words that count arrivals where a producer fills rings

}  // namespace quire
