// A model put behind the server.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "quire/model.h"
#include "server/served_model.h"

namespace quire {

struct ServingOptions {
  std::vector<std::string> names;  // that requests call the model by; empty: the name of its folder
  std::int64_t max_logprobs = 20;  // alternatives of a token that a request may ask for
  std::int64_t max_answers = 128;  // largest n of a request
  bool ignores_advice = false;     // of its authors on sampling: requests default to temperature 1
};

// `model` outlives the server's threads.
ServedModel served_model(Model& model, const ServingOptions& options);

}  // namespace quire
