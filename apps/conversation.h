// What quire chat keeps of a conversation: the system message, the turns, and which of them the model still
// sees.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apps/interrupt.h"
#include "apps/model_flags.h"

namespace quire {

class Conversation {
 public:
  Conversation(Model& model, SamplingParams params, std::string system)
      : model_(model), params_(std::move(params)), system_(std::move(system)) {}

  void reset();  // the system message stays
  const std::string& system() const { return system_; }
  void set_system(std::string system) { system_ = std::move(system); }
  std::size_t size() const { return turns_.size(); }  // messages, without the system's

  // Streams the answer to stdout. A message that the model cannot take is logged and not kept. Where the
  // conversation no longer fits into the context, its oldest turns are not shown to the model any more, which
  // is logged.
  void answer(const std::string& message, InterruptScope& interrupt);

  // As {"messages": [{"role", "content"}, …]}, in the form that the server takes. `save` replaces no file but
  // one that `load` could read. Throw Error{kInvalidArgument, kNotFound, kCorruptFile}; the conversation is
  // then as it was.
  void save(const std::string& path) const;
  void load(const std::string& path);

 private:
  static std::vector<ChatMessage> read(const std::string& path);

  std::vector<ChatMessage> shown() const;  // what the model sees
  std::vector<std::int32_t> encode_what_fits();
  bool leave_out_oldest();
  // Whether there was an answer. What came of one that was stopped counts.
  bool stream_answer(InterruptScope& interrupt, std::string& text);

  Model& model_;
  const SamplingParams params_;
  std::string system_;
  std::vector<ChatMessage> turns_;
  std::size_t first_shown_ = 0;  // index into turns_; the model sees none before
};

// A path as people write it: ~/ is the home directory.
std::string expand_home(std::string_view path);

}  // namespace quire
