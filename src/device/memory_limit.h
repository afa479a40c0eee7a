// The memory that a process may still take: what the machine has, or less where its control groups (a
// container's or a service's) say so. A process that goes beyond them is killed, without a word from malloc.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace quire {

struct MemoryLimit {
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;  // of them; caches of files that the kernel would give up count as free
};

// Where the kernel tells; other places for tests.
struct MemoryFiles {
  std::filesystem::path meminfo = "/proc/meminfo";
  std::filesystem::path own_cgroups = "/proc/self/cgroup";
  std::filesystem::path cgroup_root = "/sys/fs/cgroup";
};

// The tightest limit of the process's control groups and all groups around them, by either version of the
// interface (memory.max and memory.high; memory.limit_in_bytes); nothing where there is none.
std::optional<MemoryLimit> cgroup_memory(const MemoryFiles& files = {});

// The machine's memory, or the control group's where that is less, for total and free each. 1 GiB free where
// the kernel does not say.
MemoryLimit host_memory(const MemoryFiles& files = {});

}  // namespace quire
