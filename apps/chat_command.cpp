// quire chat: a conversation on the terminal, or from a pipe with one message a line.
#include <algorithm>

#include "apps/console.h"
#include "apps/conversation.h"
#include "apps/interrupt.h"
#include "apps/message_reader.h"
#include "apps/model_flags.h"

namespace quire {
namespace {

constexpr const char* kUsage = "/help says more, /exit or Ctrl-D ends, Ctrl-C stops an answer";

struct ChatFlags : ModelFlags {
  std::string history_file;
};

// A line that begins with a slash.
struct ChatCommand {
  const char *name, *argument, *help;
  void (*act)(Conversation&, const std::string& argument);  // null: ends the chat
};

void help(Conversation&, const std::string&);

void reset(Conversation& conversation, const std::string&) {
  conversation.reset();
  log("a new conversation");
}

void system_message(Conversation& conversation, const std::string& text) {
  if (!text.empty()) conversation.set_system(text == "-" ? "" : text);
  log("{}", conversation.system().empty() ? "no system message" : "system message: " + conversation.system());
}

void save(Conversation& conversation, const std::string& path) {
  conversation.save(expand_home(path));
  log("{} messages are in {}", conversation.size(), path);
}

void load(Conversation& conversation, const std::string& path) {
  conversation.load(expand_home(path));
  log("{} messages from {}", conversation.size(), path);
}

constexpr ChatCommand kCommands[] = {
    {"/help", "", "this list", help},
    {"/system", "[TEXT]", "show the system message, or set it (- takes it away)", system_message},
    {"/reset", "", "start anew; the system message stays", reset},
    {"/save", "FILE", "write the conversation, as JSON that the server takes", save},
    {"/load", "FILE", "go on with a conversation that was saved", load},
    {"/exit", "", "end, as /quit and Ctrl-D do", nullptr},
    {"/quit", "", nullptr, nullptr},
};

void help(Conversation&, const std::string&) {
  for (const ChatCommand& command : kCommands) {
    if (command.help != nullptr)
      log("  {:<16} {}", fmt::format("{} {}", command.name, command.argument), command.help);
  }
  log("A message of several lines stands between two \"\"\"; at a terminal that can edit lines, Alt-Enter "
      "begins a\n"
      "line too, pasted lines stay together, and the arrows and Ctrl-R bring back what was said. Ctrl-C "
      "stops an\n"
      "answer. A space before a slash makes the line a message.");
}

// "/system Be brief." -> "/system"; a path such as /etc/hosts is no command, and gives an empty word.
std::string_view command_word(std::string_view line) {
  if (!line.starts_with('/')) return {};
  const std::string_view word = line.substr(0, line.find_first_of(" \t\n"));
  const bool is_word = word.size() > 1 && std::all_of(word.begin() + 1, word.end(), [](char c) {
                         return (c >= 'a' && c <= 'z') || c == '-';
                       });
  return is_word ? word : std::string_view();
}

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first));
}

// False if the line ends the chat.
bool obey(Conversation& conversation, std::string_view line, std::string_view word) {
  const auto* command = std::find_if(std::begin(kCommands), std::end(kCommands),
                                     [word](const ChatCommand& known) { return word == known.name; });
  if (command == std::end(kCommands)) {
    log("{} is no command; /help lists them, and a space before the slash makes the line a message", word);
    return true;
  }
  if (command->act == nullptr) return false;
  try {
    command->act(conversation, trimmed(line.substr(word.size())));
  } catch (const Error& e) {
    log("{}", e.what());
  }
  return true;
}

int chat(const ChatFlags& flags) {
  MessageReader reader(expand_home(flags.history_file));
  Model model = open_model(flags);
  log("{}", kUsage);
  InterruptScope interrupt;
  Conversation conversation(model, sampling_params(flags, model.info()), flags.system);
  while (const auto line = reader.read(interrupt, kUsage)) {
    const std::string_view word = command_word(*line);
    if (!word.empty()) {
      if (!obey(conversation, *line, word)) break;
    } else if (!trimmed(*line).empty()) {
      conversation.answer(*line, interrupt);
    }
  }
  return kExitOk;
}

}  // namespace

void add_chat_command(CLI::App& app, Program& program) {
  CLI::App& command = *app.add_subcommand("chat", "Talk with a model, turn by turn");
  command.footer(fmt::format(R"(
Each line is a message; one of several lines stands between two """. {}.
Earlier turns are found in the prefix cache, so that only new words are computed.
A conversation that outgrows the context loses its oldest turns, which is said.

Examples:
  quire chat
  quire chat ~/models/Llama-3.2-1B-Instruct --system "Answer in one sentence."
  printf 'Anna has a lamp.\nWho has the lamp?\n' | quire chat)",
                             kUsage));
  const auto flags = std::make_shared<ChatFlags>();
  add_model_argument(command, *flags);
  add_sampling_flags(command, *flags);
  add_engine_flags(command, *flags);
  command
      .add_option("--history", flags->history_file,
                  "Recall messages of earlier chats, and keep those of this one, in a file")
      ->type_name("FILE");
  command.callback([&program, flags] { program.action = [flags] { return chat(*flags); }; });
}

}  // namespace quire
