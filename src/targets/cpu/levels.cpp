#include "targets/cpu/levels.h"

#include <fstream>

#include "base/check.h"

namespace quire {

#if defined(__x86_64__)
CpuKernelTable kernel_table_v2();
CpuKernelTable kernel_table_v3();
CpuKernelTable kernel_table_v4();
CpuKernelTable kernel_table_v4bf16();

std::vector<CpuLevel> cpu_levels() {
  __builtin_cpu_init();
  const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  [[maybe_unused]] const bool bf16 = v4 && __builtin_cpu_supports("avx512bf16");
  // On AMD a pair dot takes as long as a multiply-add and does twice the work; on an Intel Xeon it reached
  // half the f32 peak (docs/performance/cpu.md), so that plain multiply-adds are the better choice there.
  std::vector<CpuLevel> levels;  // those of this build: QUIRE_CPU_LEVELS
#ifdef QUIRE_HAS_v2
  levels.push_back({"v2", "x86-64-v2", v2, true, kernel_table_v2});
#endif
#ifdef QUIRE_HAS_v3
  levels.push_back({"v3", "x86-64-v3", v3, true, kernel_table_v3});
#endif
#ifdef QUIRE_HAS_v4
  levels.push_back({"v4", "x86-64-v4", v4, true, kernel_table_v4});
#endif
#ifdef QUIRE_HAS_v4bf16
  levels.push_back(
      {"v4bf16", "x86-64-v4 + avx512bf16", bf16, bf16 && __builtin_cpu_is("amd"), kernel_table_v4bf16});
#endif
  return levels;
}
#else
CpuKernelTable kernel_table_neon();

std::vector<CpuLevel> cpu_levels() { return {{"neon", "armv8-a", true, true, kernel_table_neon}}; }
#endif

CpuLevel choose_cpu_level(const std::string& name) {
  std::string names;
  const std::vector<CpuLevel> levels = cpu_levels();
  const CpuLevel* best = nullptr;
  for (const CpuLevel& level : levels) {
    if (level.name == name) {
      QUIRE_CHECK_KIND(kUnsupported, level.present, "this processor ({}) lacks {} ({})", cpu_model_name(),
                       level.name, level.architecture);
      return level;
    }
    if (level.present && level.preferred) best = &level;
    names += (names.empty() ? "" : ", ") + std::string(level.name);
  }
  QUIRE_CHECK_KIND(kNotFound, name.empty(), "no instruction-set level \"{}\"; this build has: {}", name,
                   names);
  QUIRE_CHECK_KIND(kUnsupported, best != nullptr,
                   "this processor ({}) has none of the levels of this build: {}", cpu_model_name(), names);
  return *best;
}

std::string cpu_model_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  }
  return "unknown";
}

}  // namespace quire
