// Which build of the library this is, for bug reports and logs.
#pragma once

#include <string>

namespace quire {

struct BuildInfo {
  const char* version;   // "0.1.0"
  const char* commit;    // "4c7b2e9d01af", with "-dirty" where files differed from it; "unknown" without git
  const char* compiler;  // "GNU 12.2.0"
  const char* kind;      // "Release", and what else shapes the program: "Release, static"
};

const BuildInfo& build_info();

// "0.1.0 (commit 4c7b2e9d01af, GNU 12.2.0, Release)"
std::string build_text();

}  // namespace quire
