// What main() and the commands share. A command describes itself to CLI11 and leaves its work in
// `Program::action`, so that reading the command line and doing the work fail in different ways.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <string>

#include "device/registry.h"

namespace quire {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,   // the work was done and its outcome is bad, or a resource ran out
  kExitUsage = 2,     // the command line, or what it names, is wrong
  kExitInternal = 3,  // a file is corrupt, or a promise inside Quire is broken
};

struct Program {
  TargetRegistry targets;
  std::function<int()> action;
};

void add_run_command(CLI::App& app, Program& program);
void add_chat_command(CLI::App& app, Program& program);
void add_serve_command(CLI::App& app, Program& program);
void add_bench_command(CLI::App& app, Program& program);
void add_selftest_command(CLI::App& app, Program& program);
void add_compare_command(CLI::App& app, Program& program);
void add_info_command(CLI::App& app, Program& program);
void add_cache_command(CLI::App& app, Program& program);
void add_tune_command(CLI::App& app, Program& program);

// Gives an option its twin in the environment, QUIRE_ and the long name in capitals; the flag wins.
CLI::Option* with_env(CLI::Option* option);

}  // namespace quire
