// What run, chat and serve share: which model, with which options, how it samples.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/command.h"
#include "apps/device_flags.h"
#include "facade/model_impl.h"
#include "quire/model.h"

namespace quire {

// Where answers are read as they come: 20 tokens a second are faster than people read.
inline constexpr double kStepTimeTargetMs = 50;

struct ModelFlags {
  std::string model;  // empty: the demo model
  std::string system;
  bool raw = false;
  DeviceFlags device;
  EngineOptions options;
  std::optional<std::int64_t> kv_pages;
  std::uint64_t kv_memory_bytes = 0;
  bool no_prefix_cache = false;
  // Absent: what the model's authors say.
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<std::int64_t> top_k, max_tokens;
  SamplingParams params;
};

void add_model_argument(CLI::App& command, ModelFlags& flags);
void add_engine_flags(CLI::App& command, ModelFlags& flags);
void add_backend_flag(CLI::App& command, EngineOptions& options);
// Steps that continue answers take fewer prompt tokens, so that they end within so long; 0: no target.
CLI::Option* add_step_time_flag(CLI::App& command, EngineOptions& options);
// How steps are launched: for measurements and comparisons.
void add_step_flags(CLI::App& command, EngineOptions& options);

void add_sampling_flags(CLI::App& command, ModelFlags& flags);

// The engine options that the flags stand for.
EngineOptions engine_options(const ModelFlags& flags);

// Opens a model with a progress bar and logs what was loaded. `on_progress` is called now and then, and may
// throw to give up.
Model load_model(const std::filesystem::path& folder, ModelOptions options,
                 const std::function<void()>& on_progress = {}, const StepBoundMaker& make_step_bound = {});

void log_model(const ModelInfo& info);

// The model of the flags, for one conversation.
Model open_model(const ModelFlags& flags);

// The flags over what the model's authors advise.
SamplingParams sampling_params(const ModelFlags& flags, const ModelInfo& info);

// Tokens of a conversation, open for the assistant's next words; without a chat format (or with --raw) those
// of the last message's text alone.
std::vector<std::int32_t> encode(const Model& model, const std::vector<ChatMessage>& messages);

// The demo model: beside an installed binary, or in the source tree it was built from. Throws
// Error{kNotFound}.
std::filesystem::path find_demo_model();

// The folder that --model names, or the demo model's for an empty name. Throws like find_model_folder,
// find_demo_model.
std::filesystem::path model_folder(const std::string& model);

}  // namespace quire
