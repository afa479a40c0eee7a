// quire: run, chat, serve, bench, tune, selftest, compare, info, cache.
#include <unistd.h>

#include <algorithm>
#include <boost/system/system_error.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "apps/command.h"
#include "apps/config_file.h"
#include "apps/console.h"
#include "apps/cut_file.h"
#include "apps/help_format.h"
#include "apps/number_checks.h"
#include "apps/suggestion.h"
#include "base/error.h"
#include "quire/version.h"
#include "targets/all/linked_targets.h"

namespace quire {
namespace {

constexpr const char* kDescription =
    "Quire serves language models from paged key-value memory, on whatever processor is there.";

constexpr const char* kExamples = R"(
Results go to stdout, everything else to stderr. Exit codes: 0 ok, 1 failure, 2 wrong usage or input,
3 corrupt file or internal error. An option marked (env QUIRE_...) can be set in the environment; the flag wins.

Examples:
  quire run -p "Who has the lamp?"         answer with the demo model
  quire run ~/models/Llama-3.2-1B -p Hi    answer with a model in the Hugging Face layout
  quire chat                               talk, turn by turn
  quire serve                              answer OpenAI's clients on port 8000
  quire info                               what this machine can do
  quire selftest                           prove it
  quire bench attention 32q1s2k            measure it

quire COMMAND --help tells more.)";

void print_error(std::string_view text) noexcept {
  try {
    write_stderr(fmt::format("{} {}\n", paint("quire:", Color::kRed, 2), plain_text(text)));
  } catch (const std::exception&) {  // there is no memory for colours
    write_stderr("quire: ");
    write_stderr(text);
    write_stderr("\n");
  }
}

constexpr std::string_view kOutOfMemory =
    "out of memory; a smaller model, fewer --kv-pages or a shorter context needs less";

constinit thread_local bool has_run_out_of_memory = false;  // some time on this thread

// In place of operator new's own throw.
[[noreturn]] void note_shortage() {
  has_run_out_of_memory = true;
  throw std::bad_alloc();
}

// An exception that met a function which may not throw is on its way still and cannot be looked at: GCC calls
// std::terminate without catching it.
bool is_out_of_memory() noexcept {
  if (std::uncaught_exceptions() > 0 && has_run_out_of_memory) return true;
  const std::exception_ptr current = std::current_exception();
  if (!current) return false;
  try {
    std::rethrow_exception(current);
  } catch (const std::bad_alloc&) {
    return true;
  } catch (...) {
    return false;
  }
}

// Memory that runs out in a place that may not throw, such as a destructor: the exit is the failure's, in
// words, so that a supervisor starts the program anew.
[[noreturn]] void end_in_words() noexcept {
  if (!is_out_of_memory()) std::abort();
  print_error(kOutOfMemory);
  flush_stderr();
  ::_exit(kExitFailure);
}

int exit_code_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidArgument:
    case ErrorKind::kNotFound:
    case ErrorKind::kUnsupported:
      return kExitUsage;
    case ErrorKind::kExhausted:
      return kExitFailure;
    case ErrorKind::kCorruptFile:
    case ErrorKind::kInternal:
      break;
  }
  return kExitInternal;
}

// Only the start of a thread fails in this way; each library throws its own type.
bool is_thread_limit(const std::exception& e) {
  if (const auto* failed = dynamic_cast<const std::system_error*>(&e))
    return failed->code() == std::errc::resource_unavailable_try_again;
  const auto* failed = dynamic_cast<const boost::system::system_error*>(&e);
  return failed != nullptr && failed->code() == boost::system::errc::resource_unavailable_try_again;
}

void collect_env_names(const CLI::App& app, std::set<std::string>& names) {
  for (const CLI::Option* option : app.get_options()) names.insert(option->get_envname());
  for (const CLI::App* command : app.get_subcommands({})) collect_env_names(*command, names);
}

// A misspelt variable would otherwise do nothing in silence.
void warn_of_unknown_env(const CLI::App& app) {
  std::set<std::string> names;
  collect_env_names(app, names);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable(*entry);
    const std::string name(variable.substr(0, variable.find('=')));
    if (name.starts_with("QUIRE_") && !names.contains(name))
      log("warning: {} is set but no option reads it", name);
  }
}

const CLI::App& deepest_parsed(const CLI::App& app) {
  const auto parsed = app.get_subcommands();
  return parsed.empty() ? app : deepest_parsed(*parsed.back());
}

std::string full_name(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name() : full_name(*app.get_parent()) + " " + app.get_name();
}

int parse_and_act(CLI::App& app, Program& program, int argc, char** argv) {
  try {
    std::vector<std::string> args = with_config_file(app, {argv + 1, argv + argc});
    std::reverse(args.begin(), args.end());  // as CLI11 wants them
    app.parse(std::move(args));
  } catch (const CLI::Success& request) {  // --help, --version
    return app.exit(request);
  } catch (const CLI::ParseError& e) {
    const CLI::App& command = deepest_parsed(app);
    const std::string hint = suggest_words(command, e);
    print_error(
        fmt::format("{}\n{}{}Try: {} --help", e.what(), hint, hint.empty() ? "" : " ", full_name(command)));
    return kExitUsage;
  }
  warn_of_unknown_env(app);
  if (!program.action) {
    fmt::print("{}", app.help());
    return kExitOk;
  }
  const int code = program.action();
  print_now("");  // what is still buffered must not be lost unnoticed
  return code;
}

int run_program(int argc, char** argv) {
  Program program;
  program.targets = linked_targets();

  CLI::App app(kDescription, "quire");
  app.set_version_flag("--version", "quire " + build_text(), "Version, commit, compiler, kind of build");
  app.footer(kExamples);
  app.formatter(std::make_shared<HelpFormat>());
  app.set_help_flag("-h,--help", "This text");
  app.require_subcommand(0, 1);
  add_run_command(app, program);
  add_chat_command(app, program);
  add_serve_command(app, program);
  add_bench_command(app, program);
  add_tune_command(app, program);
  add_selftest_command(app, program);
  add_compare_command(app, program);
  add_info_command(app, program);
  add_cache_command(app, program);
  refuse_false_numbers(app);
  return parse_and_act(app, program, argc, argv);
}

}  // namespace
}  // namespace quire

int main(int argc, char** argv) {
  std::set_new_handler(quire::note_shortage);
  std::set_terminate(quire::end_in_words);
  quire::report_cut_files();
  try {
    return quire::run_program(argc, argv);
  } catch (const quire::Error& e) {
    quire::print_error(e.what());
    return quire::exit_code_of(e.kind());
  } catch (const std::bad_alloc&) {
    quire::print_error(quire::kOutOfMemory);
    return quire::kExitFailure;
  } catch (const std::exception& e) {
    if (quire::is_thread_limit(e)) {
      quire::print_error(
          "the system starts no more threads: see ulimit -u and the pids limit of the container");
      return quire::kExitFailure;
    }
    quire::print_error(fmt::format("internal error: {}", e.what()));
    return quire::kExitInternal;
  }
}
