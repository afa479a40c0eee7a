// A tool of the build that writes C++ files with the emulator's kernels: every kernel that the cuda target
// would compile at run time for the given chips, from the same text with the same options. With NAMEs only
// those whose names begin so. NAME=8,64,128,256,1,0 gives a kernel these tiles, in the order of
// AttentionTiles; chips on which they are not legal are left out.
//   quire_emulator_sources FOLDER NUM_FILES PREFIX SIMT_HEADER CHIP[,CHIP...] [NAME...]
// writes FOLDER/PREFIX_0.cpp ... and FOLDER/PREFIX_kernels.cpp, which defines PREFIX_kernels().
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "base/check.h"
#include "targets/cuda/chips.h"
#include "targets/emulator/emulated_kernels.h"
#include "targets/jit/kernel_forms.h"
#include "tile/ranges.h"

namespace quire {
namespace {

std::vector<int> numbers_of(const std::string& list) {
  std::vector<int> numbers;
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) numbers.push_back(std::stoi(word));
  return numbers;
}

struct Instance {
  std::string text;
  int number;  // in the names of its functions
  int weight;  // of its compilation
};
struct Order {
  std::string folder, prefix, simt_header;
  std::size_t num_files;
  std::vector<int> chips;
  std::vector<std::string> names;  // beginnings, or names with tiles; empty: all

  bool wants(const std::string& name) const {
    return names.empty() || std::any_of(names.begin(), names.end(), [&](const std::string& n) {
             return name.rfind(n, 0) == 0 || n.rfind(name + "=", 0) == 0;
           });
  }
  // The tiles that NAME=... gives for this kernel.
  std::optional<AttentionTiles> tiles_of(const std::string& name) const {
    for (const std::string& n : names) {
      if (n.rfind(name + "=", 0) != 0) continue;
      const std::vector<int> t = numbers_of(n.substr(name.size() + 1));
      QUIRE_CHECK(t.size() == 6, "{}: tiles are 6 numbers", n);
      return AttentionTiles{t[0], t[1], t[2], t[3], t[4], t[5]};
    }
    return {};
  }
};
// Kernels by their options: those with the same options may be in one file.
using Groups = std::map<std::string, std::vector<Instance>>;

// The option "-DNAME=VALUE" as a line of the file; empty for the namespace and the functions of the chip,
// which the emulator chooses itself.
std::string define_of(const std::string& option) {
  if (option.rfind("-D", 0) != 0 || option.rfind("-DQUIRE_TARGET=", 0) == 0 ||
      option.rfind("-DQUIRE_SIMT_HEADER=", 0) == 0)
    return {};
  const std::size_t equals = option.find('=');
  if (equals == std::string::npos) return fmt::format("#define {} 1\n", option.substr(2));
  return fmt::format("#define {} {}\n", option.substr(2, equals - 2), option.substr(equals + 1));
}

void write_if_new(const std::string& path, const std::string& text) {
  std::ifstream old(path, std::ios::binary);
  if (old && std::string(std::istreambuf_iterator<char>(old), {}) == text) return;
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  QUIRE_CHECK(file.good(), "cannot write {}", path);
}

// Each kernel is in a namespace of its own inside that of the headers, because the kernels' types have the
// same names.
std::string file_text(const Order& order, std::size_t file, const std::string& defines,
                      const std::vector<Instance>& kernels) {
  const std::string headers = fmt::format("{}_{}", order.prefix, file);
  std::string text = fmt::format("#define QUIRE_TARGET {}\n#define QUIRE_SIMT_HEADER \"{}\"\n{}", headers,
                                 order.simt_header, defines);
  std::set<std::string> includes;
  for (const Instance& k : kernels) {
    std::istringstream lines(k.text);
    for (std::string line; std::getline(lines, line);) {
      if (line.rfind("#include", 0) == 0 && includes.insert(line).second) text += line + "\n";
    }
  }
  text += R"(
namespace quire {
namespace QUIRE_TARGET {
template <class Params>
void call_entry(void (*entry)(Params, LaunchState), const void* params, int* counters) {
  entry(*static_cast<const Params*>(params), LaunchState{counters});
}
}
}
)";
  for (const Instance& k : kernels) {
    text += fmt::format(R"(
#undef QUIRE_TARGET
#define QUIRE_TARGET {0}::kernel_{1}
#define quire_entry quire_entry_{2}_{1}
{3}extern "C" void {2}_kernel_{1}(const void* params, int* counters) {{
  quire::{0}::call_entry(quire::QUIRE_TARGET::quire_entry, params, counters);
}}
#undef quire_entry
)",
                        headers, k.number, order.prefix, k.text);
  }
  return text;
}

// Files of about the same weight, each of kernels with the same options; the last ones may be empty.
std::vector<std::string> file_texts(const Order& order, const Groups& groups) {
  QUIRE_CHECK(!groups.empty() && groups.size() <= order.num_files,
              "kernels with {} sets of options need as many files, not {}", groups.size(), order.num_files);
  const auto num_files_of = [](const std::vector<Instance>& kernels, int most) {
    int weight = 0;
    for (const Instance& k : kernels) weight += k.weight;
    return std::min(kernels.size(), static_cast<std::size_t>(ceil_div(weight, most)));
  };
  const auto num_files = [&](int most) {
    std::size_t num = 0;
    for (const auto& [defines, kernels] : groups) num += num_files_of(kernels, most);
    return num;
  };
  int most = 1;
  while (num_files(most) > order.num_files) ++most;
  std::vector<std::string> texts;
  for (const auto& [defines, kernels] : groups) {
    std::vector<std::vector<Instance>> files(num_files_of(kernels, most));
    for (std::size_t i = 0; i < kernels.size(); ++i) files[i % files.size()].push_back(kernels[i]);
    for (const auto& file : files) texts.push_back(file_text(order, texts.size(), defines, file));
  }
  texts.resize(order.num_files, "// No kernels.\n");
  return texts;
}

void write_sources(const Order& order) {
  Groups groups;
  std::map<std::string, int> numbers;  // by defines and text: chips share kernels
  std::string table;
  for (const int sm : order.chips) {
    const auto rules = cuda_rules(sm, kEmulatedHeads);
    for (const KernelInstance& instance : all_instances(*rules, kEmulatedHeads)) {
      JitKernel k = make_kernel(instance, *rules);
      if (!order.wants(k.name)) continue;
      if (const auto tiles = order.tiles_of(k.name)) {
        if (!rules->why_illegal(*attention_class(instance), *tiles).empty()) continue;
        k = make_kernel(instance, *rules, &*tiles);
      }
      std::string defines;
      for (const std::string& option : k.shape.options) defines += define_of(option);
      const auto [known, is_new] = numbers.try_emplace(defines + k.source, static_cast<int>(numbers.size()));
      if (is_new) groups[defines].push_back({k.source, known->second, k.shape.shared_bytes > 2048 ? 10 : 1});
      table += fmt::format("    {{{}, \"{}\", {}_kernel_{}}},\n", sm, k.name, order.prefix, known->second);
    }
  }
  std::string declarations;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    declarations +=
        fmt::format("extern \"C\" void {}_kernel_{}(const void* params, int* counters);\n", order.prefix, i);
  }
  write_if_new(fmt::format("{}/{}_kernels.cpp", order.folder, order.prefix),
               fmt::format(R"(#include "targets/emulator/emulated_kernels.h"

{}
namespace quire {{

std::span<const EmulatedKernel> {}_kernels();

std::span<const EmulatedKernel> {}_kernels() {{
  static constexpr EmulatedKernel kKernels[] = {{
{}  }};
  return kKernels;
}}

}}  // namespace quire
)",
                           declarations, order.prefix, order.prefix, table));
  const std::vector<std::string> texts = file_texts(order, groups);
  for (std::size_t i = 0; i < texts.size(); ++i)
    write_if_new(fmt::format("{}/{}_{}.cpp", order.folder, order.prefix, i), texts[i]);
}

}  // namespace
}  // namespace quire

int main(int argc, char** argv) {
  try {
    QUIRE_CHECK(argc > 5,
                "usage: quire_emulator_sources FOLDER NUM_FILES PREFIX SIMT_HEADER CHIP[,CHIP...] [NAME...]");
    quire::write_sources({argv[1],
                          argv[3],
                          argv[4],
                          std::stoul(argv[2]),
                          quire::numbers_of(argv[5]),
                          {argv + 6, argv + argc}});
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "quire_emulator_sources: %s\n", e.what());
    return 1;
  }
}
