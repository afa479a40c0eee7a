// Guards Unicode normalisation against hostile runs of combining marks.
#pragma once

#include <string>

namespace quire {

// ICU sorts the marks after a letter by insertion, which takes quadratic time on a run of a million. This
// sorts long runs beforehand, in n log n, into the order that every normal form wants; the result is
// canonically equivalent, so each normal form stays what it was. `text` is valid UTF-8.
void order_long_mark_runs(std::string& text);

}  // namespace quire
