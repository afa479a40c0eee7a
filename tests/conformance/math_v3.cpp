#define QUIRE_TARGET math_v3
#include "targets/cpu/tile/math.h"

#include "math_level.h"

namespace quire {
MathLevel math_level_v3() { return math_v3::make_math_level(); }
}  // namespace quire
