// quire compare: a model's greedy answers on a device against those on the CPU.
#include <cmath>

#include "apps/console.h"
#include "apps/model_flags.h"
#include "apps/number_checks.h"
#include "assembly/engine_factory.h"
#include "base/check.h"
#include "base/json.h"
#include "files/fields.h"
#include "files/mapped_file.h"

namespace quire {
namespace {

using Tokens = std::vector<std::int32_t>;

constexpr int kNumLogprobs = 20;
constexpr std::size_t kMaxHeldoutBytes = 256u << 20, kMaxLineBytes = 16u << 20;
constexpr double kBound =
    0.05;  // times 1 + |log-probability|: what rounding to bf16 in every layer may move one by

struct CompareFlags {
  std::string model;
  DeviceFlags device;
  int num_prompts = 100, prompt_len = 0;
  std::int64_t max_tokens = 48;
  EngineOptions options;
};

struct Answer {
  Tokens tokens;
  std::vector<TokenLogprobs> logprobs;  // if they were asked for
};

LoadedEngine load(const CompareFlags& flags, const DeviceFlags& device) {
  EngineOptions options = flags.options;
  set_device(device, options);
  options.max_num_seqs = 64;
  options.kv_cache_bytes = std::int64_t{512} << 20;
  const std::filesystem::path folder = model_folder(flags.model);
  const double start_s = now_s();
  Progress progress("loading " + folder.filename().string());
  LoadedEngine loaded = load_engine(
      folder, options, [&](double fraction, const char* stage) { progress.update(fraction, stage); });
  progress.finish();
  log_model(model_info(folder, loaded, now_s() - start_s));
  return loaded;
}

// The prompt of a line {"prompt": "..."}; what else it holds is for others. Throws Error{kCorruptFile}.
std::string prompt_of(std::string_view line, const std::string& where) {
  const Json json = parse_json(line, where, {.max_bytes = kMaxLineBytes});
  QUIRE_CHECK_KIND(kCorruptFile, json.is_object(), "{}: must be an object, as {{\"prompt\": \"...\"}}",
                   where);
  const Fields fields(json, where);
  const auto prompt = fields.try_string("prompt");
  if (!prompt) fields.refuse_missing("prompt");
  if (prompt->empty()) fields.refuse("prompt", *prompt, "a text that is not empty");
  return *prompt;
}

// Prompts of the model's heldout.jsonl, in its chat format where it has one.
std::vector<Tokens> read_prompts(const CompareFlags& flags, const LoadedEngine& model) {
  const std::filesystem::path path = model_folder(flags.model) / "heldout.jsonl";
  const MappedFile file = MappedFile::open_text(path, kMaxHeldoutBytes);
  std::string why_no_chat;
  const auto chat = load_chat_format(model, false, why_no_chat);
  if (!chat) log("{}", why_no_chat);
  std::vector<Tokens> prompts;
  std::string_view rest = file.text();
  for (int number = 1; static_cast<int>(prompts.size()) < flags.num_prompts && !rest.empty(); ++number) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const std::string text = prompt_of(line, fmt::format("{} line {}", path.string(), number));
    Tokens tokens =
        chat ? chat->encode(nlohmann::ordered_json::array({{{"role", "user"}, {"content", text}}}), true)
             : model.tokenizer->encode(text, {.add_special_tokens = true, .parse_special = true});
    if (flags.prompt_len > 0 && tokens.size() > static_cast<std::size_t>(flags.prompt_len)) {
      tokens.erase(tokens.begin(), tokens.end() - flags.prompt_len);
    }
    prompts.push_back(std::move(tokens));
  }
  QUIRE_CHECK_KIND(kCorruptFile, !prompts.empty(),
                   "{}: holds no prompt, as {{\"prompt\": \"...\"}} on a line of its own", path.string());
  return prompts;
}

// All prompts at once.
std::vector<Answer> answers_of(LoadedEngine& model, const std::vector<Tokens>& prompts,
                               std::int64_t max_tokens, bool has_logprobs) {
  SamplingParams params;
  params.temperature = 0;
  params.max_tokens = max_tokens;
  if (has_logprobs) params.logprobs = kNumLogprobs;
  for (std::size_t i = 0; i < prompts.size(); ++i)
    model.core->submit(i + 1, prompts[i], model.core->check(prompts[i], params));
  std::vector<Answer> answers(prompts.size());
  while (model.core->has_work()) {
    for (StepOutput& step : model.core->step()) {
      QUIRE_CHECK_KIND(kInternal, step.output.error.empty(), "prompt {}: {}", step.id - 1, step.output.error);
      Answer& answer = answers[step.id - 1];
      answer.tokens.insert(answer.tokens.end(), step.output.token_ids.begin(), step.output.token_ids.end());
      for (TokenLogprobs& token : step.output.logprobs) answer.logprobs.push_back(std::move(token));
    }
  }
  return answers;
}

double logprob_of(const TokenLogprobs& logprobs, std::int32_t token) {
  if (logprobs.chosen.token == token) return logprobs.chosen.logprob;
  for (const TokenLogprob& top : logprobs.top) {
    if (top.token == token) return top.logprob;
  }
  return -INFINITY;  // not among the likeliest
}

// Where two answers part.
struct Parting {
  std::size_t prompt_idx, token_idx;
  std::int32_t ours, theirs;  // tokens of the device and of the CPU
};

// What an answer says at `idx`; -1 behind its end.
std::int32_t token_at(const Answer& answer, std::size_t idx) {
  return idx < answer.tokens.size() ? answer.tokens[idx] : -1;
}

std::vector<Parting> partings_of(const std::vector<Answer>& ours, const std::vector<Answer>& theirs) {
  std::vector<Parting> partings;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    for (std::size_t t = 0; t < std::max(ours[i].tokens.size(), theirs[i].tokens.size()); ++t) {
      if (token_at(ours[i], t) == token_at(theirs[i], t)) continue;
      partings.push_back({i, t, token_at(ours[i], t), token_at(theirs[i], t)});
      break;
    }
  }
  return partings;
}

// Prints one difference; true if rounding explains it.
bool explain(const Parting& parting, const TokenLogprobs& cpu, const TokenLogprobs& device,
             const std::string& name) {
  const double cpu_theirs = logprob_of(cpu, parting.theirs), cpu_ours = logprob_of(cpu, parting.ours);
  const double gap = cpu_theirs - cpu_ours, bound = kBound * (1 + std::abs(cpu_ours));
  const bool is_rounding = gap <= bound;
  print_now(
      fmt::format("prompt {}, token {}: {} has {}, cpu has {}; log-probabilities of the two: cpu {:.4f} "
                  "{:.4f}, {} {:.4f} {:.4f}; "
                  "gap {:.4f}, bound {:.4f}{}\n",
                  parting.prompt_idx, parting.token_idx, name, parting.ours, parting.theirs, cpu_ours,
                  cpu_theirs, name, logprob_of(device, parting.ours), logprob_of(device, parting.theirs), gap,
                  bound, is_rounding ? "" : ": MORE THAN ROUNDING"));
  return is_rounding;
}

int compare(const CompareFlags& flags) {
  DeviceFlags cpu_flags = flags.device;
  cpu_flags.device = "cpu";
  LoadedEngine cpu = load(flags, cpu_flags);
  const std::vector<Tokens> prompts = read_prompts(flags, cpu);
  const std::vector<Answer> theirs = answers_of(cpu, prompts, flags.max_tokens, true);
  LoadedEngine device = load(flags, flags.device);
  const std::vector<Answer> ours = answers_of(device, prompts, flags.max_tokens, false);
  const std::vector<Parting> partings = partings_of(ours, theirs);
  std::vector<Tokens> beginnings;
  std::size_t num_tokens = 0;
  for (const Answer& answer : theirs) num_tokens += answer.tokens.size();
  for (const Parting& p : partings) {
    const Tokens& same = theirs[p.prompt_idx].tokens;
    beginnings.push_back(prompts[p.prompt_idx]);
    beginnings.back().insert(beginnings.back().end(), same.begin(),
                             same.begin() + static_cast<std::ptrdiff_t>(p.token_idx));
  }
  const std::vector<Answer> again = answers_of(device, beginnings, 1, true);
  int num_unexplained = 0;
  for (std::size_t i = 0; i < partings.size(); ++i) {
    const Answer& cpu_answer = theirs[partings[i].prompt_idx];
    const TokenLogprobs none;
    const bool both = partings[i].token_idx < cpu_answer.logprobs.size();
    num_unexplained += !explain(partings[i], both ? cpu_answer.logprobs[partings[i].token_idx] : none,
                                again[i].logprobs.at(0), flags.device.device);
  }
  print_now(
      fmt::format("{} of {} prompts have the same greedy tokens on {} and cpu ({} tokens); {} differ within "
                  "rounding ({} x (1 + "
                  "|log-probability|)), {} beyond\n",
                  prompts.size() - partings.size(), prompts.size(), flags.device.device, num_tokens,
                  partings.size() - static_cast<std::size_t>(num_unexplained), kBound, num_unexplained));
  return num_unexplained == 0 ? kExitOk : kExitFailure;
}

}  // namespace

void add_compare_command(CLI::App& app, Program& program) {
  CLI::App& command =
      *app.add_subcommand("compare", "A model's greedy answers on a device against those on the CPU");
  command.footer(R"(
Prompts are those of heldout.jsonl in the model's directory. The CPU chooses tokens on the host, from all logits; the
device as it does when it serves. Where two answers part, the log-probabilities of both tokens on both devices are
printed. Exit code 1 if a gap between them is more than rounding can make: 0.05 x (1 + |log-probability|).

Examples:
  quire compare --device cuda
  quire compare --device emulator:sm_90a --num-prompts 1 --prompt-len 16 --max-tokens 2)");
  const auto flags = std::make_shared<CompareFlags>();
  command.add_option("MODEL,--model", flags->model, "Model directory (default: the demo model)")
      ->type_name("DIR");
  command.add_option("--num-prompts", flags->num_prompts, "Prompts")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command.add_option("--prompt-len", flags->prompt_len, "Only the last so many tokens of a prompt; 0 = all")
      ->check(not_negative())
      ->capture_default_str();
  command.add_option("--max-tokens", flags->max_tokens, "Longest answer")
      ->check(above_zero())
      ->capture_default_str();
  command.add_flag("--batch-invariant", flags->options.batch_invariant,
                   "Bits that do not depend on batching or threads");
  add_step_flags(command, flags->options);
  add_device_flags(command, flags->device);
  command.callback([&program, flags] { program.action = [flags] { return compare(*flags); }; });
}

}  // namespace quire
