#include "attention/backends.h"
#include "base/check.h"

namespace quire {
namespace {

std::vector<std::unique_ptr<AttentionBackend>> make_backends() {
  std::vector<std::unique_ptr<AttentionBackend>> backends;
  backends.push_back(make_unified_backend());
  backends.push_back(make_reference_backend());
  return backends;
}

// All reasons why a backend cannot compute the desc, in one line; empty if there are none.
std::string objections(const AttentionBackend& backend, const AttentionDesc& desc, const Device& device) {
  std::string missing;
  for (const AttentionFeature& feature : attention_features()) {
    if (!feature.wanted(desc) || backend.supports(feature, device)) continue;
    missing += (missing.empty() ? "lacks " : ", ") + std::string(feature.name);
  }
  const std::string other = backend.why_not(desc, device);
  return missing + (missing.empty() || other.empty() ? "" : "; ") + other;
}

}  // namespace

const std::vector<std::unique_ptr<AttentionBackend>>& attention_backends() {
  static const std::vector<std::unique_ptr<AttentionBackend>> backends = make_backends();
  return backends;
}

BackendChoice choose_backend(const std::string& name, const AttentionDesc& desc, const Device& device) {
  check_desc(desc);
  const bool automatic = name.empty() || name == "auto";
  BackendChoice choice;
  std::string names;
  for (const auto& backend : attention_backends()) {
    names += (names.empty() ? "" : ", ") + std::string(backend->name());
    if (!automatic && name != backend->name()) {
      choice.reasons.push_back(fmt::format("{}: not asked for", backend->name()));
      continue;
    }
    const std::string against = objections(*backend, desc, device);
    if (against.empty()) {
      choice.backend = backend.get();
      choice.reasons.push_back(fmt::format("{}: chosen ({})", backend->name(), automatic ? "first that can" : "asked for"));
      return choice;
    }
    QUIRE_CHECK_KIND(kUnsupported, automatic, "attention backend {} cannot do this: {}", name, against);
    choice.reasons.push_back(fmt::format("{}: {}", backend->name(), against));
  }
  QUIRE_CHECK_KIND(kNotFound, automatic, "no attention backend \"{}\"; this build has: {}", name, names);
  throw_error(ErrorKind::kUnsupported, "no attention backend can do this: {}", fmt::join(choice.reasons, "; "));
}

}  // namespace quire
