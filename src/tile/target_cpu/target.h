// The CPU target of the tile language. Compiled once for each instruction-set level, in a namespace of its own.
#pragma once

#include "tile/target_cpu/sums.h"
