// quire info: what this build and this machine can do, and why not more.
#include "apps/console.h"
#include "apps/device_flags.h"
#include "apps/model_flags.h"
#include "apps/support_matrix.h"
#include "model/shapes.h"
#include "quire/version.h"

namespace quire {
namespace {

// Targets that Quire knows by name; what a build lacks is said, not passed over.
constexpr const char* kKnownTargets[] = {"cpu", "cuda", "hip", "opencl", "emulator"};

const TargetEntry* find_target(const TargetRegistry& targets, const std::string& name) {
  for (const TargetEntry& entry : targets.entries()) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

std::string demo_model_line() {
  try {
    return find_demo_model().string();
  } catch (const Error& e) {
    return e.what();
  }
}

int info(const Program& program, const DeviceFlags& flags, bool markdown) {
  if (markdown) {
    print_now(support_matrix_markdown(*program.targets.open(flags.device, flags.options)));
    return kExitOk;
  }
  std::string text = "quire " + build_text() + "\n\ntargets\n";
  for (const char* name : kKnownTargets) {
    const TargetEntry* entry = find_target(program.targets, name);
    const std::string reason = entry == nullptr ? "not in this build" : entry->why_absent(flags.options);
    text += fmt::format("  {:<8} {}\n", name, reason.empty() ? "found" : reason);
    if (!reason.empty()) continue;
    for (const std::string& level : entry->levels(flags.options)) text += fmt::format("           {}\n", level);
  }
  const auto device = program.targets.open(flags.device, flags.options);
  const DeviceCaps& caps = device->caps();
  const BatchKindCaps attention = device->attention().caps({});
  text += fmt::format("\ndevice\n  {}\n  bf16 dot products: {}\n  attention programs: {} rows x {} keys\n",
                      describe(caps), caps.has_pair_dot ? "in hardware" : "by f32 multiply-adds",
                      attention.rows, attention.keys);
  for (const BatchKind kind : kBatchKinds) {
    const AttentionClass problem{DType::kBF16, 128, kind};
    text += fmt::format("  configuration of {}: {}\n", to_string(problem), device->attention().caps(problem).source);
  }
  text += "\nbackends, in order of preference\n" + support_matrix_text(*device);
  text += fmt::format("\nmodel shapes for quire bench: {}\ndemo model: {}\n", fmt::join(shape_names(), ", "),
                      demo_model_line());
  print_now(text);
  return kExitOk;
}

}  // namespace

void add_info_command(CLI::App& app, Program& program) {
  CLI::App& command =
      *app.add_subcommand("info", "Targets, instruction-set levels, backends and what they support");
  command.footer(R"(
Examples:
  quire info
  quire info --cpu-isa v2      how it looks at another level
  quire info --markdown        the support matrix as the docs carry it)");
  const auto flags = std::make_shared<DeviceFlags>();
  const auto markdown = std::make_shared<bool>(false);
  command.add_flag("--markdown", *markdown, "Only the support matrix, as a Markdown table");
  add_device_flags(command, *flags);
  command.callback([&program, flags, markdown] {
    program.action = [&program, flags, markdown] { return info(program, *flags, *markdown); };
  });
}

}  // namespace quire
