// Inputs for measurements.
#pragma once

#include <cstddef>
#include <memory>

#include "device/device.h"

namespace quire {

// Memory of pseudo-random values in [-1, 1).
std::unique_ptr<Buffer> random_buffer(Device& device, std::size_t num_elems, DType dtype);

}  // namespace quire
