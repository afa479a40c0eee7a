// What run and chat share: which model, how it is loaded, how it samples, and how a prompt becomes tokens.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/command.h"
#include "apps/device_flags.h"
#include "chat/chat_format.h"
#include "assembly/engine_factory.h"
#include "quire/quire.h"

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

// A model that is ready to answer.
struct OpenModel {
  std::shared_ptr<const Tokenizer> tokenizer;
  GenerationDefaults defaults;
  std::optional<ChatFormat> chat;  // absent: prompts are sent as plain text
  SamplingParams params;  // the flags over the model's own defaults
  std::int64_t context_len = 0;  // tokens of prompt and answer together
  std::unique_ptr<Engine> engine;

  // Tokens of a conversation, an array of {"role", "content"}, open for the assistant's next words; without a chat
  // format (or with --raw) those of the last message's text alone.
  std::vector<std::int32_t> encode(const nlohmann::ordered_json& messages) const;
};

// The model's chat format; logs why there is none.
std::optional<ChatFormat> load_chat_format(const GenerationDefaults& defaults,
                                           std::shared_ptr<const Tokenizer> tokenizer, bool trusts_messages = false);

// The engine options that the flags stand for; `folder` is needed for --kv-pages only.
EngineOptions engine_options(const Program& program, const ModelFlags& flags,
                             const std::filesystem::path& folder);

// Loads with a progress bar and logs what was loaded. `on_progress` is called now and then, and may throw to give up.
LoadedEngine load_model(const std::filesystem::path& folder, const EngineOptions& options,
                        const std::function<void()>& on_progress = {});

// The same, ready for one conversation.
OpenModel open_model(const Program& program, const ModelFlags& flags);

// The demo model: beside an installed binary, or in the source tree it was built from. Throws
// Error{kNotFound}.
std::filesystem::path find_demo_model();

// The folder that --model names, or the demo model's for an empty name. Throws like find_model_folder,
// find_demo_model.
std::filesystem::path model_folder(const std::string& model);

}  // namespace quire
