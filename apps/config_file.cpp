#include "apps/config_file.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "base/check.h"
#include "base/text_file.h"

namespace quire {
namespace {

std::string trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  return begin == std::string_view::npos
             ? ""
             : std::string(text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1));
}

// A comment begins at the start of a line or behind a space, and not inside quotes.
std::string without_comment(std::string_view line) {
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (quote != 0) {
      quote = line[i] == quote ? '\0' : quote;
    } else if (line[i] == '"' || line[i] == '\'') {
      quote = line[i];
    } else if (line[i] == '#' && (i == 0 || line[i - 1] == ' ')) {
      return std::string(line.substr(0, i));
    }
  }
  return std::string(line);
}

std::string unquote(const std::string& value) {
  const bool is_quoted =
      value.size() >= 2 && (value.front() == '"' || value.front() == '\'') && value.back() == value.front();
  return is_quoted ? value.substr(1, value.size() - 2) : value;
}

std::vector<std::string> split_list(const std::string& value) {
  std::vector<std::string> entries;
  std::istringstream list(value.substr(1, value.size() - 2));
  for (std::string entry; std::getline(list, entry, ',');) entries.push_back(unquote(trim(entry)));
  return entries;
}

// The value of --config in the arguments, or in the environment.
std::string config_path(const CLI::App& command, const std::vector<std::string>& args) {
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--config" && i + 1 < args.size()) return args[i + 1];
    if (args[i].starts_with("--config=")) return args[i].substr(9);
  }
  const char* path = std::getenv(command.get_option("--config")->get_envname().c_str());
  return path == nullptr ? "" : path;
}

bool is_set(const CLI::Option& option, const std::vector<std::string>& args) {
  const std::string flag = "--" + option.get_lnames().at(0);
  for (const std::string& arg : args) {
    if (arg == flag || arg.starts_with(flag + "=")) return true;
  }
  const char* value = std::getenv(option.get_envname().c_str());
  return value != nullptr && *value != '\0';
}

}  // namespace

std::vector<std::pair<std::string, std::string>> parse_config(std::string_view text,
                                                              const std::string& origin) {
  std::vector<std::pair<std::string, std::string>> flags;
  std::string list_key;
  std::istringstream lines{std::string(text)};
  int number = 0;
  for (std::string raw; std::getline(lines, raw);) {
    ++number;
    const std::string line = trim(without_comment(raw));
    if (line.empty() || line == "---") continue;
    if (line.starts_with("- ") && !list_key.empty()) {
      flags.emplace_back(list_key, unquote(trim(line.substr(2))));
      continue;
    }
    const std::size_t colon = line.find(':');
    const std::size_t name_end = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-");
    const bool is_pair = colon != std::string::npos && colon > 0 && name_end == colon &&
                         (colon + 1 == line.size() || line[colon + 1] == ' ') && raw.front() != ' ' &&
                         raw.front() != '\t';
    QUIRE_CHECK(is_pair, "{}:{}: \"{}\" is neither `flag: value` nor an entry of a list", origin, number,
                line.substr(0, 60));
    std::string key = line.substr(0, colon);
    std::replace(key.begin(), key.end(), '_', '-');
    const std::string value = trim(line.substr(colon + 1));
    list_key = value.empty() ? key : "";
    if (value.size() >= 2 && value.front() == '[' && value.back() == ']') {
      for (std::string& entry : split_list(value)) flags.emplace_back(key, std::move(entry));
    } else if (!value.empty()) {
      flags.emplace_back(key, unquote(value));
    }
  }
  return flags;
}

std::vector<std::string> with_config_file(const CLI::App& app, std::vector<std::string> args) {
  const CLI::App* command = nullptr;
  for (const CLI::App* candidate : app.get_subcommands({})) {
    if (!args.empty() && candidate->get_name() == args.front()) command = candidate;
  }
  if (command == nullptr || command->get_option_no_throw("--config") == nullptr) return args;
  const std::string path = config_path(*command, args);
  if (path.empty()) return args;
  constexpr std::size_t kMaxConfigBytes = 1u << 20;
  const std::string text = read_text_file(path, kMaxConfigBytes, "the configuration");
  const std::vector<std::string> given = args;
  for (const auto& [key, value] : parse_config(text, path)) {
    const CLI::Option* option = command->get_option_no_throw("--" + key);
    QUIRE_CHECK(option != nullptr, "{}: quire {} has no flag --{}", path, command->get_name(), key);
    if (is_set(*option, given)) continue;
    const bool is_switch = option->get_expected_max() == 0;
    if (is_switch && (value == "false" || value == "no")) continue;
    QUIRE_CHECK(!is_switch || value == "true" || value == "yes", "{}: {} must be true or false, got \"{}\"",
                path, key, value);
    args.push_back("--" + key);
    if (!is_switch) args.push_back(value);
  }
  return args;
}

}  // namespace quire
