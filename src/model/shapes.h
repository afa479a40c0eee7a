// Shapes of well-known models, for benchmarks with random weights.
#pragma once

#include <string>
#include <vector>

#include "files/model_config.h"

namespace quire {

// Throws Error{kNotFound} that lists the names.
ModelConfig named_shape(const std::string& name);
std::vector<std::string> shape_names();

}  // namespace quire
