// Chat templates: the Jinja subset that models' templates use, with the settings and the meaning that Hugging
// Face gives them (trim_blocks, lstrip_blocks, immutable values), and nothing of the machine within reach. A
// template is a program from strangers: nesting, steps, bytes and time of a rendering are limited.
//
//   const ChatTemplate chat = ChatTemplate::parse(defaults.chat_template, defaults.bos_token,
//   defaults.eos_token); const std::string prompt = chat.render(messages, true, {{"enable_thinking",
//   false}});
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quire {

// Some templates want the content of a message as one text, some as a list of parts with types; nothing but
// the template says so.
enum class ContentFormat : std::uint8_t {
  kText,    // a string
  kParts,   // a list of objects: {"type": "text", "text": ...}
  kEither,  // the template looks which of the two it got
};

// A stretch of a rendered prompt. `from_message` tells text that the caller of `render_pieces` handed in
// (content, names, tools, whatever became of it) from text of the template itself and its special tokens:
// only the latter may become special tokens. Numbers count as text of the template, and so do the roles of
// messages that are among kRoles, since many templates build their marks from them: '<|' + message.role +
// '|>'.
struct TemplatePiece {
  std::string text;
  bool from_message;
};

constexpr std::array<std::string_view, 6> kRoles = {"system",    "developer", "user",
                                                    "assistant", "tool",      "function"};

// Names under which a template may write further special tokens, and these: {"pad_token", "<pad>"}.
using NamedTokens = std::vector<std::pair<std::string, std::string>>;

struct TemplateLimits {
  int max_depth = 400;                      // nesting of calls, statements and expressions together
  std::int64_t max_steps = 2'000'000;       // evaluations, plus a share of long lists and texts
  std::int64_t max_output_bytes = 4 << 20;  // of the prompt, and of every text on the way
  std::int64_t max_made_bytes = 256 << 20;  // of all texts and lists on the way together
  double max_cpu_s = 1.0;                   // of the thread, so that a busy machine refuses nothing
};

struct TemplateRun {
  std::optional<std::int64_t> now_s;  // what strftime_now shows, seconds since 1970 in UTC; absent: the clock
  TemplateLimits limits;
};

// Never changes after parsing: all methods may be called from many threads at once.
class ChatTemplate {
 public:
  // Empty tokens are undefined variables, as a model without them has it. Throws Error{kCorruptFile} that
  // names line and text for what is no template, Error{kUnsupported} for parts of Jinja that chat templates
  // do not use.
  static ChatTemplate parse(std::string_view source, std::string bos_token, std::string eos_token,
                            NamedTokens other_tokens = {});

  // How the template reads the contents of messages.
  ContentFormat content_format() const;

  // The prompt of a conversation: `messages` is an array of objects with role, content and whatever the
  // template reads. `extra` is an object (or null) of further variables: tools, documents, date_string,
  // enable_thinking, ... Throws Error{kInvalidArgument} when the template refuses the conversation
  // (raise_exception), meets a value that it cannot use, or exceeds a limit; the message names the line and
  // the values.
  std::string render(const nlohmann::ordered_json& messages, bool add_generation_prompt,
                     const nlohmann::ordered_json& extra = {}, const TemplateRun& run = {}) const;

  // The same text in pieces; neighbours differ in `from_message`, none is empty.
  std::vector<TemplatePiece> render_pieces(const nlohmann::ordered_json& messages, bool add_generation_prompt,
                                           const nlohmann::ordered_json& extra = {},
                                           const TemplateRun& run = {}) const;

 private:
  struct Program;
  explicit ChatTemplate(std::shared_ptr<const Program> program) : program_(std::move(program)) {}

  std::shared_ptr<const Program> program_;
};

}  // namespace quire
