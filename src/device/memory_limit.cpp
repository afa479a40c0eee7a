#include "device/memory_limit.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>
#include <string_view>

namespace quire {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kUnknownFreeBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 62;  // version 1 writes 2^63 less a page for "none"

// The number that a file of one line holds; nothing for "max", and where the file is missing.
std::optional<std::uint64_t> read_number(const fs::path& path) {
  std::ifstream file(path);
  std::string word;
  if (!(file >> word)) return std::nullopt;
  std::uint64_t value = 0;
  const auto result = std::from_chars(word.data(), word.data() + word.size(), value);
  if (result.ec != std::errc() || result.ptr != word.data() + word.size()) return std::nullopt;
  return value;
}

// The number behind `key` in lines "key number …".
std::optional<std::uint64_t> read_entry(const fs::path& path, std::string_view key) {
  std::ifstream file(path);
  std::string name, rest;
  for (std::uint64_t value = 0; file >> name >> value && std::getline(file, rest);) {
    if (name == key) return value;
  }
  return std::nullopt;
}

// How one version of the interface names what we ask for.
struct Names {
  const char *limits[2], *usage, *cache;
};
constexpr Names kVersion1 = {
    {"memory.limit_in_bytes", "memory.limit_in_bytes"}, "memory.usage_in_bytes", "total_inactive_file"};
constexpr Names kVersion2 = {{"memory.max", "memory.high"}, "memory.current", "inactive_file"};

std::optional<MemoryLimit> limit_of_group(const fs::path& group, const Names& names) {
  std::uint64_t limit = kNoLimit;
  for (const char* name : names.limits) limit = std::min(limit, read_number(group / name).value_or(kNoLimit));
  if (limit == kNoLimit) return std::nullopt;
  const std::uint64_t usage = read_number(group / names.usage).value_or(0);
  const std::uint64_t cache = std::min(usage, read_entry(group / "memory.stat", names.cache).value_or(0));
  return MemoryLimit{limit, limit - std::min(limit, usage - cache)};
}

void tighten(std::optional<MemoryLimit>& limit, const std::optional<MemoryLimit>& other) {
  if (!other) return;
  if (!limit) limit = other;
  limit->total_bytes = std::min(limit->total_bytes, other->total_bytes);
  limit->free_bytes = std::min(limit->free_bytes, other->free_bytes);
}

// The group at `path` under `root` and those around it. A container without a namespace of its own sees the
// host's path here and its own group at the root.
std::optional<MemoryLimit> limit_of_groups(const fs::path& root, const fs::path& path, const Names& names) {
  std::optional<MemoryLimit> limit;
  fs::path group = path.relative_path().lexically_normal();
  if (group.begin() != group.end() && *group.begin() == "..") group.clear();  // outside of what is mounted
  for (; !group.empty() && group != "."; group = group.parent_path())
    tighten(limit, limit_of_group(root / group, names));
  tighten(limit, limit_of_group(root, names));
  return limit;
}

bool names_memory(std::string_view controllers) {
  while (!controllers.empty()) {
    const std::size_t end = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, end) == "memory") return true;
    controllers.remove_prefix(std::min(end + 1, controllers.size()));
  }
  return false;
}

}  // namespace

std::optional<MemoryLimit> cgroup_memory(const MemoryFiles& files) {
  std::optional<MemoryLimit> limit;
  std::ifstream file(files.own_cgroups);
  for (std::string line;
       std::getline(file, line);) {  // "hierarchy:controllers:path"; version 2 has no controllers
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string_view controllers = std::string_view(line).substr(first + 1, second - first - 1);
    const fs::path path = line.substr(second + 1);
    if (controllers.empty()) {
      tighten(limit, limit_of_groups(files.cgroup_root, path, kVersion2));
      tighten(limit, limit_of_groups(files.cgroup_root / "unified", path, kVersion2));
    } else if (names_memory(controllers)) {
      tighten(limit, limit_of_groups(files.cgroup_root / "memory", path, kVersion1));
    }
  }
  return limit;
}

MemoryLimit host_memory(const MemoryFiles& files) {
  MemoryLimit memory;
  memory.total_bytes = read_entry(files.meminfo, "MemTotal:").value_or(0) * 1024;
  memory.free_bytes = read_entry(files.meminfo, "MemAvailable:").value_or(0) * 1024;
  if (memory.free_bytes == 0) memory.free_bytes = kUnknownFreeBytes;
  memory.total_bytes = std::max(memory.total_bytes, memory.free_bytes);
  std::optional<MemoryLimit> limit = memory;
  tighten(limit, cgroup_memory(files));
  return *limit;
}

}  // namespace quire
