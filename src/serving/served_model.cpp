#include "serving/served_model.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "facade/model_impl.h"

namespace quire {
namespace {

// The name of a folder as a model's name: without control characters, since it is written into logs and
// answers.
std::string printable(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; },
      '?');
  return name.empty() ? "model" : name;
}

// Text is at most as long as tokens are; what is longer cannot fit and need not be tokenised to know it.
std::size_t longest_prompt_bytes(const Tokenizer& tokenizer, int context_len) {
  std::size_t longest = 1;
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (const auto text = tokenizer.token_text(id)) longest = std::max(longest, text->size());
  }
  return longest * static_cast<std::size_t>(context_len);
}

// Of requests: what the model's authors say. Unlike Model's own defaults they are sampled where nobody says
// otherwise, as OpenAI's clients expect.
SamplingParams request_defaults(const GenerationDefaults& defaults) {
  SamplingParams params;
  const bool is_greedy = defaults.do_sample.has_value() && !*defaults.do_sample;
  params.temperature = is_greedy ? 0.0 : defaults.temperature.value_or(1.0);
  if (!is_greedy) params.top_p = defaults.top_p.value_or(1.0);
  if (!is_greedy) params.top_k = defaults.top_k.value_or(0);
  if (!is_greedy) params.min_p = defaults.min_p.value_or(0.0);
  params.repetition_penalty = defaults.repetition_penalty.value_or(1.0);
  params.max_tokens = defaults.max_new_tokens;
  return params;
}

ChatEncoder chat_encoder(const Model::Impl& model) {
  if (!model.chat) return {};
  return [chat = *model.chat](const OrderedJson& messages, bool add_generation_prompt,
                              const OrderedJson& variables) {
    return chat.encode(messages, add_generation_prompt, variables);
  };
}

RequestLimits request_limits(const Model::Impl& model, const ServingOptions& options) {
  RequestLimits limits;
  limits.model_names = options.names;
  if (limits.model_names.empty()) {
    const auto folder = std::filesystem::weakly_canonical(model.info.folder);
    limits.model_names = {printable(folder.filename().string())};
  }
  limits.vocab_size = std::min(model.engine_config.vocab_size, model.tokenizer->vocab_size());
  limits.max_model_len = model.info.context_len;
  limits.max_logprobs = options.max_logprobs;
  limits.max_n = options.max_answers;
  limits.max_prompt_bytes = longest_prompt_bytes(*model.tokenizer, model.info.context_len);
  limits.has_priorities = model.engine_config.scheduler.policy == SchedulingPolicy::kPriority;
  if (!options.ignores_advice) limits.defaults = request_defaults(model.defaults);
  return limits;
}

}  // namespace

ServedModel served_model(Model& model, const ServingOptions& options) {
  const Model::Impl& impl = model.impl();
  ServedModel served;
  served.engine = &model.engine();
  served.tokenizer = impl.tokenizer;
  served.encode_chat = chat_encoder(impl);
  served.limits = request_limits(impl, options);
  served.eos_tokens = impl.info.eos_tokens;
  served.facts = {served.limits.model_names.front(), impl.info.page_size, impl.info.num_pages,
                  impl.info.context_len};
  served.created_s =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  served.max_num_seqs = impl.engine_config.scheduler.max_num_seqs;
  return served;
}

}  // namespace quire
