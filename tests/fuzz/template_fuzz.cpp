// Any text is a chat template that renders or refuses, or no template. The input is a template; behind a zero
// byte may come the JSON of a conversation. Pieces make up the text, and without words of strangers nothing
// is marked.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "template/chat_template.h"

namespace {

using nlohmann::ordered_json;

void require(bool condition) {
  if (!condition) std::abort();
}

ordered_json conversation(std::string_view text) {
  ordered_json messages = ordered_json::parse(text, nullptr, false);
  if (messages.is_array()) return messages;
  return {
      {{"role", "system"}, {"content", "Be brief."}},
      {{"role", "user"}, {"content", std::string(text.substr(0, 100))}},
      {{"role", "assistant"},
       {"content", "<think>a</think>b"},
       {"tool_calls", {{{"id", "abcdefghi"}, {"function", {{"name", "f"}, {"arguments", {{"x", 1.5}}}}}}}}},
      {{"role", "tool"}, {"content", nullptr}},
      {{"role", "user"}, {"content", {{{"type", "text"}, {"text", " x "}}}}}};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t num_bytes) {
  const std::string_view input(reinterpret_cast<const char*>(data), num_bytes);
  const std::size_t end = std::min(input.find('\0'), input.size());
  // Small limits keep runs short; what they bound is the same.
  const quire::TemplateRun run{
      .now_s = 1760000000,
      .limits = {.max_steps = 20'000, .max_output_bytes = 1 << 16, .max_made_bytes = 1 << 20}};
  try {
    const auto chat = quire::ChatTemplate::parse(input.substr(0, end), "<s>", "</s>");
    const ordered_json messages = conversation(input.substr(std::min(end + 1, input.size())));
    const ordered_json extra = {{"tools", {{{"function", {{"name", "f"}}}}}}, {"enable_thinking", false}};
    std::string joined;
    bool is_first = true, was_marked = false;
    for (const quire::TemplatePiece& piece : chat.render_pieces(messages, true, extra, run)) {
      require(!piece.text.empty() && (is_first || piece.from_message != was_marked));
      is_first = false;
      was_marked = piece.from_message;
      joined += piece.text;
    }
    require(joined == chat.render(messages, true, extra, run));
    // Without words of a stranger nothing is marked.
    for (const quire::TemplatePiece& piece : chat.render_pieces(ordered_json::array(), true, {}, run)) {
      require(!piece.from_message);
    }
  } catch (const quire::Error& error) {
    require(error.kind() == quire::ErrorKind::kCorruptFile ||
            error.kind() == quire::ErrorKind::kUnsupported ||
            error.kind() == quire::ErrorKind::kInvalidArgument);
  }
  return 0;
}
