// EditTerminal in a build without libedit.
#include "apps/edit_terminal.h"

namespace quire {

std::unique_ptr<EditTerminal> EditTerminal::open(std::string) { return nullptr; }

}  // namespace quire
