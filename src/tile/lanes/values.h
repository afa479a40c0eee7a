// Types of elements and of several numbers at once, on any machine of lanes. Plain data: the functions of a
// chip take them.
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
