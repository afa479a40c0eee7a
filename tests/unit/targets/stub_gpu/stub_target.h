// A second GPU target as small as it can be, to show what one has to bring: a driver, a compiler, rules for
// its chip, layouts. Its memory is the host's, its compiler keeps the text, its launches are written down and
// compute nothing.
#pragma once

#include <string>
#include <vector>

#include "device/registry.h"

namespace quire::stub {

struct Launch {
  std::string kernel;
  int num_blocks, threads;
};

// What happened since it was cleared, on all devices of this target.
struct Diary {
  std::vector<Launch> launches;
  int num_compiled = 0, num_loaded = 0, num_buffers = 0;
};
Diary& diary();

void register_stub_target(TargetRegistry& registry);

}  // namespace quire::stub
