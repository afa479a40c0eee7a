// Where in the source a call in the machine code of a kernel comes from, by the debug information of this
// program.
#pragma once

#include <string>
#include <vector>

namespace quire {

// One function of a chain of inlined ones. Names are without namespaces and template arguments.
struct SourceFrame {
  std::string function;
  std::string file;  // as the compiler got it
  int line = 0;
};

// For each address, which lies behind a call: the functions around it, the innermost first. Throws
// Error{kUnsupported} where addr2line, a part of binutils, does not run or knows nothing of an address.
std::vector<std::vector<SourceFrame>> source_places(const std::vector<const void*>& addresses);

}  // namespace quire
