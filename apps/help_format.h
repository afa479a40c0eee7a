// Help texts: what an option takes, what it is for, its default and its twin in the environment, and nothing
// else.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <string>

namespace quire {

class HelpFormat : public CLI::Formatter {
 public:
  HelpFormat() { column_width(34); }
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
};

}  // namespace quire
