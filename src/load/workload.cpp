#include "load/workload.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace quire {
namespace {

// A conversation's stream of random numbers; prefixes and arrivals have streams that no conversation has.
constexpr std::uint64_t kStageStream = 1ull << 40, kPrefixStream = 1ull << 62, kArrivalStream = 1ull << 63;

std::uint64_t hash_of(const std::string& name) {  // FNV-1a: std::hash differs between platforms
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const unsigned char c : name) hash = (hash ^ c) * 0x100000001b3ull;
  return hash;
}

}  // namespace

std::string random_words(std::int64_t num_words, LoadRandom& random) {
  constexpr char kConsonants[] = "bcdfghjklmnprstvwz", kVowels[] = "aeiou";
  std::string text;
  text.reserve(static_cast<std::size_t>(num_words) * 6);
  for (std::int64_t i = 0; i < num_words; ++i) {
    if (i > 0) text += ' ';
    for (int syllables = 2 + random.below(2); syllables > 0; --syllables) {
      text += kConsonants[random.below(sizeof(kConsonants) - 1)];
      text += kVowels[random.below(sizeof(kVowels) - 1)];
    }
  }
  return text;
}

WordCost fit_word_cost(std::int64_t words_a, std::int64_t tokens_a, std::int64_t words_b,
                       std::int64_t tokens_b) {
  WordCost cost;
  if (words_a == words_b || tokens_a <= 0 || tokens_b <= tokens_a) return cost;
  cost.per_word = static_cast<double>(tokens_b - tokens_a) / static_cast<double>(words_b - words_a);
  cost.per_prompt =
      std::max(0.0, static_cast<double>(tokens_a) - cost.per_word * static_cast<double>(words_a));
  cost.is_measured = true;
  return cost;
}

std::string Workload::words_of(int num_tokens, LoadRandom& random) const {
  const double num_words = (num_tokens - config_.cost.per_prompt) / config_.cost.per_word;
  return random_words(std::max<std::int64_t>(1, std::llround(num_words)), random);
}

LoadConversation Workload::from_trace(const TraceEntry& entry, LoadRandom& random) const {
  LoadConversation conversation;
  if (!entry.prefix.empty()) {
    LoadRandom prefix_random(config_.seed, kPrefixStream ^ hash_of(entry.prefix));
    conversation.prefix = words_of(entry.prefix_len, prefix_random);
  }
  conversation.turns.push_back(
      {entry.prompt.empty() ? words_of(entry.prompt_len - entry.prefix_len, random) : entry.prompt,
       entry.output_len});
  return conversation;
}

LoadConversation Workload::conversation(int stage, std::int64_t idx) const {
  LoadRandom random(config_.seed,
                    static_cast<std::uint64_t>(stage) * kStageStream + static_cast<std::uint64_t>(idx));
  if (!config_.trace.empty())
    return from_trace(config_.trace[static_cast<std::size_t>(idx) % config_.trace.size()], random);
  LoadConversation conversation;
  if (config_.prefix_len > 0) {
    LoadRandom prefix_random(config_.seed,
                             kPrefixStream + static_cast<std::uint64_t>(idx % config_.num_prefixes));
    conversation.prefix = words_of(config_.prefix_len, prefix_random);
  }
  for (int turn = 0; turn < config_.num_turns; ++turn) {
    const int prompt_len = config_.prompt_len.draw(random), output_len = config_.output_len.draw(random);
    conversation.turns.push_back({words_of(prompt_len, random), output_len});
  }
  return conversation;
}

std::vector<double> poisson_arrivals(double rate, std::int64_t count, std::uint64_t seed) {
  std::vector<double> arrivals(static_cast<std::size_t>(count));
  if (std::isinf(rate)) return arrivals;
  LoadRandom random(seed, kArrivalStream);
  double time_s = 0;
  for (double& arrival : arrivals) arrival = time_s += random.exponential() / rate;
  return arrivals;
}

}  // namespace quire
