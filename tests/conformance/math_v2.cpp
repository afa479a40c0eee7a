#define QUIRE_TARGET math_v2
#include "targets/cpu/tile/math.h"

#include "math_level.h"

namespace quire {
MathLevel math_level_v2() { return math_v2::make_math_level(); }
}  // namespace quire
