// Words for the one fault that a mapped file brings: another process cut it, and bytes that were there are
// gone.
#pragma once

namespace quire {

// From now on, reading beyond the end of a mapped file ends the process with an error line that names the
// file, and the exit code of a corrupt file, instead of the signal SIGBUS alone.
void report_cut_files();

}  // namespace quire
