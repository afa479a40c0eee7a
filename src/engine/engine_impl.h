// The implementation of quire::Engine. `Engine::open` assembles it from a model directory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/async_engine.h"
#include "quire/engine.h"

namespace quire {

using TextEncoder = std::function<std::vector<std::int32_t>(std::string_view)>;

struct Engine::Impl {
  // `encode` may be empty: then prompts are given as tokens. It is called by many threads at once.
  Impl(std::unique_ptr<StepEngine> step_engine, int max_num_requests, TextEncoder text_encoder,
       StepBound step_bound = {})
      : encode(std::move(text_encoder)),
        async(std::move(step_engine), max_num_requests, std::move(step_bound)) {}

  TextEncoder encode;
  AsyncEngine async;
};

}  // namespace quire
