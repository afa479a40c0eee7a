// A model and all that belongs to it: tokenizer, chat format, what its files say, and the engine that runs
// it.
//
//   quire::Model model = quire::Model::open("models/demo");
//   quire::RequestStream answer = model.chat({{"user", "Bob has the lamp. Who has the lamp?"}});
//   while (auto output = answer.next()) std::cout << output->text;
//
// A loaded model may be used from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quire/engine.h"

namespace quire {

struct ModelOptions {
  EngineOptions engine = {};
  bool uses_chat_format = true;        // false: as if the model had none
  bool trusts_special_tokens = false;  // special tokens that are written out in a message are taken as such
  // While loading, on the calling thread: how far it is (0 to 1), and with what. What it throws ends the
  // loading.
  std::function<void(double fraction, const char* stage)> progress = {};
};

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", and what else the model's template knows
  std::string content;
};

// What is known of a loaded model.
struct ModelInfo {
  std::string folder;
  std::string architecture;  // "LlamaForCausalLM"
  std::string type;          // of its weights: "bf16"
  int num_layers = 0, hidden_dim = 0, num_qo_heads = 0, num_kv_heads = 0;
  int vocab_size = 0;
  int context_len = 0;  // tokens of prompt and answer together: the model's limit, or what the cache holds
  std::vector<std::int32_t> eos_tokens;
  SamplingParams defaults;  // as its authors advise, greedy where they do not; max_tokens is 512 at most

  std::string why_no_chat;            // empty if there is a chat format
  std::vector<std::string> warnings;  // what the files say that changes nothing, or was changed

  std::string device;  // as ComputeDevice::description()
  std::string attention_backend;
  int page_size = 0;  // tokens
  int num_pages = 0;  // that requests can have
  double cache_bytes = 0;
  double load_s = 0;     // seconds that opening took, the next among them
  double kernels_s = 0;  // seconds that getting kernels ready took
};

struct TextOptions {
  bool add_special_tokens = true;      // what the tokenizer puts around a text, such as a beginning token
  bool parses_special_tokens = false;  // special tokens that are written out in the text are taken as such
};

class Model {
 public:
  // From a directory in the Hugging Face layout. Throws kNotFound, kCorruptFile, kUnsupported,
  // kInvalidArgument for an option out of range, or kExhausted when the memory does not suffice. A chat
  // template that cannot be used is no error: info().why_no_chat says why.
  static Model open(const std::string& folder, const ModelOptions& options = {});

  const ModelInfo& info() const;
  Engine& engine();

  // Answers the last message of a conversation. Absent params: info().defaults. Throws what encode_chat() and
  // Engine::submit() throw.
  RequestStream chat(const std::vector<ChatMessage>& messages,
                     const std::optional<SamplingParams>& params = std::nullopt);
  // Goes on with a text as it is, without a chat format.
  RequestStream complete(std::string_view text, const std::optional<SamplingParams>& params = std::nullopt);

  bool has_chat_format() const { return info().why_no_chat.empty(); }
  // Tokens of a conversation in the model's own format. Throws kUnsupported where it has none,
  // kInvalidArgument for messages that its template refuses.
  std::vector<std::int32_t> encode_chat(const std::vector<ChatMessage>& messages,
                                        bool add_generation_prompt = true) const;
  // Throws kInvalidArgument for text that is not UTF-8.
  std::vector<std::int32_t> encode(std::string_view text, const TextOptions& options = {}) const;
  std::string decode(std::span<const std::int32_t> tokens, bool skip_special_tokens = true) const;

  struct Impl;  // made by the library
  explicit Model(std::unique_ptr<Impl> impl);
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace quire
