#include "apps/help_format.h"

namespace quire {

std::string HelpFormat::make_option_opts(const CLI::Option* option) const {
  const std::string type = option->get_type_name();  // and its checks, behind a colon
  return option->get_type_size() == 0 || type.empty() ? "" : " " + type.substr(0, type.find(':'));
}

std::string HelpFormat::make_option_desc(const CLI::Option* option) const {
  std::string text = option->get_description();
  const std::string fallback = option->get_default_str();
  if (!fallback.empty()) text += fallback.front() == '[' ? " " + fallback : " [" + fallback + "]";
  if (!option->get_envname().empty()) text += " (env " + option->get_envname() + ")";
  return text;
}

}  // namespace quire
