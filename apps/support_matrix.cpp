#include "apps/support_matrix.h"

#include <fmt/format.h>

#include "attention/attention.h"

namespace quire {
namespace {

const char* answer(const AttentionBackend& backend, const AttentionFeature& feature, const Device& device) {
  return backend.supports(feature, device) ? "yes" : "no";
}

}  // namespace

std::string support_matrix_text(const Device& device) {
  std::string text = fmt::format("  {:<36}", "attention feature");
  for (const auto& backend : attention_backends()) text += fmt::format(" {:>10}", backend->name());
  text += "\n";
  for (const AttentionFeature& feature : attention_features()) {
    text += fmt::format("  {:<36}", feature.name);
    for (const auto& backend : attention_backends())
      text += fmt::format(" {:>10}", answer(*backend, feature, device));
    text += "\n";
  }
  return text;
}

std::string support_matrix_markdown(const Device& device) {
  std::string text = "| attention feature |", rule = "|---|";
  for (const auto& backend : attention_backends()) {
    text += fmt::format(" `{}` |", backend->name());
    rule += "---|";
  }
  text += "\n" + rule + "\n";
  for (const AttentionFeature& feature : attention_features()) {
    text += fmt::format("| {} |", feature.name);
    for (const auto& backend : attention_backends())
      text += fmt::format(" {} |", answer(*backend, feature, device));
    text += "\n";
  }
  return text;
}

}  // namespace quire
