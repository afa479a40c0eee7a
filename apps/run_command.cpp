// quire run: one prompt, one answer.
#include <iostream>

#include "apps/console.h"
#include "apps/model_flags.h"
#include "base/check.h"
#include "base/json.h"
#include "base/text_file.h"

namespace quire {
namespace {

struct RunFlags : ModelFlags {
  std::optional<std::string> prompt;
  std::string prompt_file;
  bool json = false;
};

constexpr std::size_t kMaxPromptBytes = 256u << 20;  // beyond what a tokenizer takes

std::string read_prompt(const RunFlags& flags) {
  if (!flags.prompt_file.empty()) {
    return read_text_file(flags.prompt_file, kMaxPromptBytes, "the prompt file");
  }
  if (flags.prompt.has_value() && *flags.prompt != "-") return *flags.prompt;
  QUIRE_CHECK(flags.prompt.has_value() || !is_terminal(0),
              "give a prompt: -p TEXT, -f FILE, or text on standard input; see quire run --help");
  return read_text(std::cin, kMaxPromptBytes, "standard input");
}

// What the answer took.
struct Timing {
  double first_token_s = 0, total_s = 0;
};

Json to_json(const RequestOutput& last, const std::string& text, const std::vector<std::int32_t>& token_ids,
             const Timing& timing) {
  return {{"text", text},
          {"token_ids", token_ids},
          {"finish_reason", to_string(last.finish_reason)},
          {"prompt_tokens", last.prompt_len},
          {"cached_tokens", last.cached_len},
          {"output_tokens", last.output_len},
          {"first_token_s", timing.first_token_s},
          {"total_s", timing.total_s}};
}

void log_timing(const RequestOutput& last, const Timing& timing) {
  constexpr int kEnoughTokens = 16;  // for a rate that means something
  const double decode_s = timing.total_s - timing.first_token_s;
  const bool has_rate = last.output_len >= kEnoughTokens && decode_s > 0;
  log("{} prompt tokens, {} output tokens ({}); first token after {:.0f} ms, last after {:.0f} ms{}",
      last.prompt_len, last.output_len, to_string(last.finish_reason), timing.first_token_s * 1e3,
      timing.total_s * 1e3,
      has_rate ? fmt::format(", {:.1f} tokens/s between", (last.output_len - 1) / decode_s) : "");
}

int run(const RunFlags& flags) {
  const std::string prompt = read_prompt(flags);
  QUIRE_CHECK(!prompt.empty(), "the prompt is empty");
  Model model = open_model(flags);
  std::vector<ChatMessage> messages;
  if (!flags.system.empty()) messages.push_back({"system", flags.system});
  messages.push_back({"user", prompt});

  const double start_s = now_s();
  RequestStream stream = model.engine().submit(encode(model, messages), sampling_params(flags, model.info()));
  Timing timing;
  std::string text;
  std::vector<std::int32_t> token_ids;
  RequestOutput last;
  while (auto output = stream.next()) {
    if (!flags.json) print_now(output->text);
    text += output->text;
    token_ids.insert(token_ids.end(), output->token_ids.begin(), output->token_ids.end());
    last = std::move(*output);
  }
  timing.total_s = now_s() - start_s;
  timing.first_token_s = last.first_token_s;  // the engine's: this thread may have come late
  QUIRE_CHECK_KIND(kInternal, last.finish_reason != FinishReason::kError, "the model failed: {}", last.error);
  print_now(flags.json ? to_json(last, text, token_ids, timing).dump() + "\n" : "\n");
  log_timing(last, timing);
  return kExitOk;
}

}  // namespace

void add_run_command(CLI::App& app, Program& program) {
  CLI::App& command = *app.add_subcommand("run", "Answer one prompt");
  command.footer(R"(
The prompt goes through the model's chat format where it is recognised; --raw sends it as it is. The answer streams to
stdout. Without MODEL the demo model answers: it reads small stories and knows who has what and where things are kept.

Examples:
  quire run -p "Anna put the key in the drawer. Where is the key?"
  quire run ~/models/Qwen3-0.6B -p "Write a haiku about pages." --temperature 0.8 --seed 7
  quire run -f story.txt --json | jq .text
  cat story.txt | quire run -p -
  quire run ~/models/Llama-3.2-1B --raw -p "Once upon a time" --max-tokens 64)");
  const auto flags = std::make_shared<RunFlags>();
  add_model_argument(command, *flags);
  CLI::Option* prompt =
      command.add_option("-p,--prompt", flags->prompt, "The prompt; - reads standard input")
          ->type_name("TEXT");
  command.add_option("-f,--file", flags->prompt_file, "Read the prompt from a file")
      ->type_name("FILE")
      ->excludes(prompt);
  command.add_flag("--json", flags->json, "One JSON object with text, tokens and times instead of the text");
  add_sampling_flags(command, *flags);
  add_engine_flags(command, *flags);
  command.callback([&program, flags] { program.action = [flags] { return run(*flags); }; });
}

}  // namespace quire
