#include "quire/version.h"

#include "version/commit.h"

namespace quire {

const BuildInfo& build_info() {
  static const BuildInfo info{QUIRE_VERSION, kCommit, QUIRE_COMPILER, QUIRE_BUILD_KIND};
  return info;
}

std::string build_text() {
  const BuildInfo& info = build_info();
  return std::string(info.version) + " (commit " + info.commit + ", " + info.compiler + ", " + info.kind +
         ")";
}

}  // namespace quire
