#include "device/registry.h"

#include "base/check.h"

namespace quire {

const char* to_string(KernelName name) {
  switch (name) {
    case KernelName::kAttention: return "attention";
    case KernelName::kMergeState: return "merge_state";
    case KernelName::kKvWrite: return "kv_write";
    case KernelName::kLinear: return "linear";
    case KernelName::kLinearToF32: return "linear_to_f32";
    case KernelName::kRmsNorm: return "rms_norm";
    case KernelName::kRope: return "rope";
    case KernelName::kActivation: return "activation";
    case KernelName::kEmbedding: return "embedding";
    case KernelName::kSampleGreedy: return "sample_greedy";
    case KernelName::kSampleBins: return "sample_bins";
    case KernelName::kSampleCut: return "sample_cut";
    case KernelName::kSampleDraw: return "sample_draw";
    case KernelName::kTakeTokens: return "take_tokens";
    case KernelName::kCeilingRead: return "ceiling_read";
    case KernelName::kCeilingFma: return "ceiling_fma";
    case KernelName::kCeilingDot: return "ceiling_dot";
    case KernelName::kCount: break;
  }
  return "unknown";
}

std::unique_ptr<Device> TargetRegistry::open(const std::string& text, const DeviceOptions& given) const {
  const std::size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  DeviceOptions options = given;
  if (colon != std::string::npos) options.architecture = text.substr(colon + 1);
  std::string names;
  for (const TargetEntry& entry : entries_) {
    if (entry.name == name) {
      QUIRE_CHECK(colon == std::string::npos || entry.takes_architecture, "target {} takes no architecture, got \"{}\"", name, text);
      const std::string reason = entry.why_absent(options);
      QUIRE_CHECK_KIND(kUnsupported, reason.empty(), "target {} cannot run here: {}", name, reason);
      return entry.open(options);
    }
    names += (names.empty() ? "" : ", ") + entry.name;
  }
  throw_error(ErrorKind::kNotFound, "no target \"{}\"; this build has: {}", name, names);
}

}  // namespace quire
