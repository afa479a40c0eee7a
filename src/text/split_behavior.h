// What happens to a delimiter when text is split at it.
#pragma once

#include <vector>

#include "text/json_field.h"
#include "text/regex.h"

namespace quire {

// On "a--b" split at "-": Removed a b, Isolated a - - b, MergedWithPrevious a- - b, MergedWithNext a - -b,
// Contiguous a -- b.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

SplitBehavior parse_split_behavior(const JsonField& field);

// Appends to `pieces` the parts of `whole` that remain when it is split at `delimiters`, which are ascending,
// do not overlap and lie inside. `invert` swaps delimiters and the text between them. Empty parts are left
// out.
void split_at(Span whole, const std::vector<Span>& delimiters, SplitBehavior behavior, bool invert,
              std::vector<Span>& pieces);

}  // namespace quire
