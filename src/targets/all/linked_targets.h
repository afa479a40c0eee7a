// The targets of this build.
#pragma once

#include "device/registry.h"

namespace quire {

TargetRegistry linked_targets();

}  // namespace quire
