// A model for benchmarks: a directory, or a well-known shape with random weights.
#pragma once

#include <span>
#include <string>

#include "apps/bench/bench_command.h"
#include "assembly/engine_factory.h"

namespace quire {

struct ModelBenchFlags : BenchFlags {
  std::string model, shape, dtype;
  EngineOptions options;
  int prompt_len = 512, output_len = 128;
};

// Model, shape, lengths and engine options, and what every benchmark takes.
void add_model_bench_flags(CLI::App& command, ModelBenchFlags& flags);

// Loads it with room for `num_requests` sequences of prompt and output.
LoadedEngine load_model_under_test(const ModelBenchFlags& flags, int num_requests);

std::string name_of(const ModelBenchFlags& flags);

// Bytes of the weights that one step reads: all of them but the embedding, unless that is also the head.
double weight_bytes(const ModelConfig& config);

// Pseudo-random tokens.
std::vector<std::int32_t> random_tokens(int vocab_size, int num_tokens, std::uint32_t seed);

// One step of `num_seqs` requests with query_len new tokens each at a sequence length of kv_len, pages
// shuffled.
StepBatch make_step(const LoadedEngine& model, int num_seqs, int query_len, int kv_len);

}  // namespace quire
