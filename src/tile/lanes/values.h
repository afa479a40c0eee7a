// Element types and groups of numbers on any machine of lanes, as plain data: the functions of a chip take
// them as arguments.
#pragma once

namespace quire {
namespace QUIRE_TARGET {

struct bf16 {
  unsigned short bits;
};
struct f16 {
  unsigned short bits;
};

struct Values4 {
  float x, y, z, w;
};

}  // namespace QUIRE_TARGET
}  // namespace quire
