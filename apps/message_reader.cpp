#include "apps/message_reader.h"

#include <iostream>
#include <string_view>

#include "apps/console.h"

namespace quire {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";

}  // namespace

std::optional<std::string> MessageReader::read(InterruptScope& interrupt, const std::string& usage) {
  for (;;) {
    std::string text;
    Got got = read_line(">", interrupt, text);
    if (got == Got::kLine && text.starts_with(kQuotes)) got = read_block(interrupt, text);
    if (got == Got::kEnd) return std::nullopt;
    if (got == Got::kInterrupted) {
      fmt::print(stderr, "\n{}\n", usage);
      continue;
    }
    if (terminal_ && text.find_first_not_of(" \t\r\n") != std::string::npos) terminal_->remember(text);
    return text;
  }
}

// `text` comes with the first line. The end of the input ends a block.
MessageReader::Got MessageReader::read_block(InterruptScope& interrupt, std::string& text) {
  std::string block = text.substr(kQuotes.size());
  while (!block.ends_with(kQuotes)) {
    std::string line;
    const Got got = read_line(".", interrupt, line);
    if (got == Got::kInterrupted) return got;
    if (got == Got::kEnd) break;
    block += '\n' + line;
  }
  if (block.ends_with(kQuotes)) block.resize(block.size() - kQuotes.size());
  if (block.starts_with('\n')) block.erase(0, 1);  // nothing stood behind the opening marks
  if (block.ends_with('\n')) block.pop_back();
  text = std::move(block);
  return Got::kLine;
}

MessageReader::Got MessageReader::read_line(const char* prompt, InterruptScope& interrupt,
                                            std::string& line) {
  if (terminal_) return terminal_->read(prompt, interrupt, line);
  if (is_terminal(0)) {
    fmt::print(stderr, "{} ", paint(prompt, Color::kBold, 2));
    if (!interrupt.wait_for_input()) {
      interrupt.take();
      return Got::kInterrupted;
    }
  }
  return std::getline(std::cin, line) ? Got::kLine : Got::kEnd;
}

}  // namespace quire
