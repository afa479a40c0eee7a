// The cuda target of the tile language: sm_80 and later. Compiled at run time for the chip at hand.
#pragma once

#include "tile/target_cuda/linear_stage.h"
#include "tile/target_cuda/sums.h"
