// Any text is either a table of tuned configurations, which then comes back from its own text, or an Error of the two kinds that files
// may cause.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "tuning/tuned_table.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t num_bytes) {
  const std::string_view text(reinterpret_cast<const char*>(data), num_bytes);
  quire::TunedTable table;
  try {
    table = quire::parse_tuned_table(text, "tuned.json");
  } catch (const quire::Error& e) {
    if (e.kind() != quire::ErrorKind::kCorruptFile && e.kind() != quire::ErrorKind::kUnsupported) __builtin_trap();
    return 0;
  }
  const quire::TunedTable back = quire::parse_tuned_table(quire::tuned_table_text(table), "again.json");
  if (!(back.chip == table.chip) || back.entries.size() != table.entries.size()) __builtin_trap();
  for (const quire::TunedEntry& e : table.entries) {
    const quire::TunedEntry* found = back.find(e.problem);
    if (found == nullptr || !(found->config == e.config)) __builtin_trap();
  }
  return 0;
}
