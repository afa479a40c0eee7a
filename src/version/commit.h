// The commit that was built. It stands in a file of its own, which cmake/write_commit.cmake writes, so that a
// new commit compiles nothing else anew.
#pragma once

namespace quire {

extern const char* const kCommit;

}  // namespace quire
