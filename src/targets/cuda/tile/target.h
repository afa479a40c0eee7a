// The cuda target of the tile language: sm_80 and later. Compiled at run time for the chip at hand.
#pragma once

#include "targets/cuda/tile/linear_stage.h"
#include "tile/lanes/sums.h"
