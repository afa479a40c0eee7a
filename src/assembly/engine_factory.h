// Puts an engine together: device, weights, cache, tokenizer.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "engine/engine.h"
#include "files/generation_config.h"
#include "files/model_config.h"
#include "model/model_runner.h"
#include "model/model_weights.h"
#include "quire/engine_options.h"
#include "text/tokenizer.h"

namespace quire {

struct LoadedEngine {
  ModelConfig config;
  EngineConfig engine_config;
  GenerationDefaults defaults;                 // empty for random weights
  std::shared_ptr<const Tokenizer> tokenizer;  // null for random weights
  ModelRunner* runner = nullptr;               // owned by `core`
  double kernels_s = 0;                        // that getting the kernels ready took
  std::unique_ptr<EngineCore> core;
};

// From a directory in the Hugging Face layout. Throws Error{kNotFound, kCorruptFile, kUnsupported,
// kExhausted}.
LoadedEngine load_engine(const std::filesystem::path& folder, const EngineOptions& options,
                         const LoadProgress& progress = {});

// The same without a tokenizer, from any source of weights: random ones, for benchmarks of a shape. Requests
// are tokens.
LoadedEngine make_engine(const ModelConfig& config, const EngineOptions& options, TensorSource& source,
                         const LoadProgress& progress = {});

}  // namespace quire
