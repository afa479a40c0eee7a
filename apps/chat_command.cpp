// quire chat: a conversation on the terminal, or from a pipe with one message a line.
#include <chrono>
#include <iostream>

#include "apps/console.h"
#include "apps/interrupt.h"
#include "apps/model_flags.h"

namespace quire {
namespace {

constexpr const char* kUsage = "/reset starts anew, /exit or Ctrl-D ends, Ctrl-C stops an answer";

// The next line of the user; empty at the end of the input. At a terminal, Ctrl-C explains itself and asks
// again.
std::optional<std::string> read_line(InterruptScope& interrupt) {
  if (is_terminal(0)) {
    const std::string prompt = paint("> ", Color::kBold, 2);
    fmt::print(stderr, "{}", prompt);
    while (!interrupt.wait_for_input()) {
      interrupt.take();
      fmt::print(stderr, "\n{}\n{}", kUsage, prompt);
    }
  }
  std::string line;
  if (!std::getline(std::cin, line)) return std::nullopt;
  return line;
}

class Conversation {
 public:
  Conversation(OpenModel& model, std::string system) : model_(model), system_(std::move(system)) { reset(); }

  void reset() {
    messages_ = nlohmann::ordered_json::array();
    if (!system_.empty()) add("system", system_);
  }

  // Streams the answer to stdout. A message that the model cannot take is not kept.
  void answer(const std::string& message, InterruptScope& interrupt) {
    add("user", message);
    try {
      add("assistant", stream_answer(interrupt));
    } catch (const Error& e) {
      messages_.erase(messages_.size() - 1);
      log("{} ({})", e.what(), kUsage);
    }
  }

 private:
  void add(const char* role, const std::string& content) {
    messages_.push_back({{"role", role}, {"content", content}});
  }

  std::string stream_answer(InterruptScope& interrupt) {
    RequestStream stream = model_.engine->submit(model_.encode(messages_), model_.params);
    std::string text;
    while (!stream.is_finished()) {
      const auto output = stream.next_for(std::chrono::milliseconds(50));
      if (interrupt.take()) stream.cancel();
      if (!output.has_value()) continue;
      print_now(output->text);
      text += output->text;
      if (output->finish_reason == FinishReason::kError) log("\nthe model failed: {}", output->error);
      if (output->finish_reason == FinishReason::kLength) log("\n(cut at {} tokens)", output->output_len);
    }
    print_now("\n");
    return text;
  }

  OpenModel& model_;
  const std::string system_;
  nlohmann::ordered_json messages_;
};

int chat(const Program& program, const ModelFlags& flags) {
  OpenModel model = open_model(program, flags);
  log("{}", kUsage);
  InterruptScope interrupt;
  Conversation conversation(model, flags.system);
  while (const auto line = read_line(interrupt)) {
    if (*line == "/exit" || *line == "/quit") break;
    if (*line == "/reset") {
      conversation.reset();
      log("a new conversation");
    } else if (line->starts_with("/") && line->find(' ') == std::string::npos) {
      log("{}: unknown; {}", *line, kUsage);
    } else if (line->find_first_not_of(" \t\r") != std::string::npos) {
      conversation.answer(*line, interrupt);
    }
  }
  return kExitOk;
}

}  // namespace

void add_chat_command(CLI::App& app, Program& program) {
  CLI::App& command = *app.add_subcommand("chat", "Talk with a model, turn by turn");
  command.footer(fmt::format(R"(
Each line is a message. {}.
Earlier turns are found in the prefix cache, so that only new words are computed.

Examples:
  quire chat
  quire chat ~/models/Llama-3.2-1B-Instruct --system "Answer in one sentence."
  printf 'Anna has a lamp.\nWho has the lamp?\n' | quire chat)",
                             kUsage));
  const auto flags = std::make_shared<ModelFlags>();
  add_model_argument(command, *flags);
  add_sampling_flags(command, *flags);
  add_engine_flags(command, *flags);
  command.callback(
      [&program, flags] { program.action = [&program, flags] { return chat(program, *flags); }; });
}

}  // namespace quire
