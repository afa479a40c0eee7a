// The error type of the libraries, which is public. Checks that throw it: base/check.h.
#pragma once

#include "quire/error.h"
