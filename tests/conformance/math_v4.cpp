#define QUIRE_TARGET math_v4
#include "targets/cpu/tile/math.h"

#include "math_level.h"

namespace quire {
MathLevel math_level_v4() { return math_v4::make_math_level(); }
}  // namespace quire
