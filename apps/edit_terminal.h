// A terminal whose lines are edited: libedit, where the build has it.
#pragma once

#include <memory>
#include <string>

#include "apps/interrupt.h"

namespace quire {

class EditTerminal {
 public:
  enum class Got { kLine, kEnd, kInterrupted };

  // Nothing where the build has no libedit, or standard input and standard error are not a terminal that can
  // move its cursor. Messages of `history_file`, if one is named, are there to be recalled. Throws
  // Error{kNotFound} for a file that is there and cannot be read.
  static std::unique_ptr<EditTerminal> open(std::string history_file);

  virtual ~EditTerminal() = default;  // writes the history; logs if it cannot

  // A line, which holds line ends where the user pasted them or pressed Alt-Enter. Ctrl-C drops it.
  virtual Got read(const std::string& prompt, InterruptScope& interrupt, std::string& line) = 0;

  virtual void remember(const std::string& message) = 0;  // to be recalled with the arrows
};

}  // namespace quire
