// Messages of a user, from a terminal or a pipe.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "apps/edit_terminal.h"
#include "apps/interrupt.h"

namespace quire {

class MessageReader {
 public:
  // As EditTerminal::open; without a terminal that can edit, lines are read as they come.
  explicit MessageReader(std::string history_file) : terminal_(EditTerminal::open(std::move(history_file))) {}

  // The next message: a line, or the lines from one that begins with """ to one that ends so, without the
  // marks. Nothing at the end of the input. At a terminal, Ctrl-C drops what was written, logs `usage` and
  // asks again.
  std::optional<std::string> read(InterruptScope& interrupt, const std::string& usage);

  bool can_edit() const { return terminal_ != nullptr; }

 private:
  using Got = EditTerminal::Got;
  Got read_line(const char* prompt, InterruptScope& interrupt, std::string& line);
  Got read_block(InterruptScope& interrupt, std::string& text);

  std::unique_ptr<EditTerminal> terminal_;
};

}  // namespace quire
