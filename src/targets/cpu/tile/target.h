// The CPU target of the tile language. Compiled once for each instruction-set level, in a namespace of its
// own.
#pragma once

#include "targets/cpu/tile/sums.h"
