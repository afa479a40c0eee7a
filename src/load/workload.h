// What a load test asks: prompts of made-up words, as functions of a seed and the number of the conversation.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "load/length_law.h"
#include "load/trace.h"

namespace quire {

// How many tokens a server makes of a prompt of `n` words: per_word * n + per_prompt.
struct WordCost {
  double per_word = 1, per_prompt = 0;
  bool is_measured = false;
};

struct WorkloadConfig {
  LengthLaw prompt_len, output_len;
  std::vector<TraceEntry>
      trace;           // lengths and texts instead of the laws; used again from its start if it is too short
  int num_turns = 1;   // of a conversation; each turn sends all that was said before
  int prefix_len = 0;  // tokens with which prompts begin alike
  int num_prefixes = 1;  // how many such beginnings there are; conversations take them in turn
  std::uint64_t seed = 0;
  WordCost cost;
};

struct Turn {
  std::string message;
  int output_len = 0;
};

struct LoadConversation {
  std::string prefix;  // shared beginning; empty if there is none
  std::vector<Turn> turns;
};

class Workload {
 public:
  explicit Workload(WorkloadConfig config) : config_(std::move(config)) {}

  // Conversation `idx` of stage `stage`. Texts of different stages have nothing in common but the shared
  // prefixes, so that a server's prefix cache helps nowhere else.
  LoadConversation conversation(int stage, std::int64_t idx) const;

  const WorkloadConfig& config() const { return config_; }

 private:
  LoadConversation from_trace(const TraceEntry& entry, LoadRandom& random) const;
  std::string words_of(int num_tokens, LoadRandom& random) const;

  WorkloadConfig config_;
};

// `num_words` words of two or three random syllables, parted by spaces.
std::string random_words(std::int64_t num_words, LoadRandom& random);

// The line through two measurements of (words, tokens).
WordCost fit_word_cost(std::int64_t words_a, std::int64_t tokens_a, std::int64_t words_b,
                       std::int64_t tokens_b);

// Times in seconds of `count` arrivals of a Poisson process of `rate` a second; all 0 for an infinite rate.
std::vector<double> poisson_arrivals(double rate, std::int64_t count, std::uint64_t seed);

}  // namespace quire
