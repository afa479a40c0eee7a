// What stands behind quire::Model, for what is built on it: the server, the program.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "assembly/engine_factory.h"
#include "chat/chat_format.h"
#include "engine/engine_impl.h"
#include "quire/model.h"

namespace quire {

struct Model::Impl {
  ModelInfo info;
  EngineConfig engine_config;
  GenerationDefaults defaults;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::optional<ChatFormat> chat;
  std::unique_ptr<Engine> engine;
};

// Called when the model is loaded and nothing has been submitted.
using StepBoundMaker = std::function<StepBound(LoadedEngine&)>;

// Model::open, with a bound of what steps must take, if one is made.
Model open_model(const std::filesystem::path& folder, const ModelOptions& options,
                 const StepBoundMaker& make_step_bound = {});

// `load_s`: that loading took.
ModelInfo model_info(const std::filesystem::path& folder, const LoadedEngine& loaded, double load_s);

// The chat format, or why there is none.
std::optional<ChatFormat> load_chat_format(const LoadedEngine& loaded, bool trusts_special_tokens,
                                           std::string& why_not);

}  // namespace quire
