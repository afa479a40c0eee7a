#define QUIRE_TARGET math_neon
#include "targets/cpu/tile/math.h"

#include "math_level.h"

namespace quire {
MathLevel math_level_neon() { return math_neon::make_math_level(); }
}  // namespace quire
