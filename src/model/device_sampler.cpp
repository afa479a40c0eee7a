#include "model/device_sampler.h"

#include <algorithm>
#include <vector>

#include "kernels/params.h"

namespace quire {
namespace {

constexpr int kLeastPartLen = 1024;
constexpr int kMaxParts = 64;  // of a row: what one program looks through at its end

// Parts of a row, so that two rounds of programs have something to do.
int part_len_of(int vocab_size, int num_rows, int num_programs) {
  const int num_parts = std::clamp(ceil_div(2 * num_programs, num_rows), 1, kMaxParts);
  return std::max(kLeastPartLen, round_up(ceil_div(vocab_size, num_parts), 64));
}

}  // namespace

void DeviceSampler::reserve(int num_rows) {
  if (num_rows <= max_rows_) return;
  max_rows_ = num_rows;
  ++num_reallocations_;
  const auto rows = static_cast<std::size_t>(num_rows);
  const std::size_t parts = 2 * (rows + 2 * static_cast<std::size_t>(device_.caps().num_programs));
  tokens_ = device_.allocate(rows * sizeof(std::int32_t));
  part_max_ = device_.allocate(parts * sizeof(float));
  part_token_ = device_.allocate(parts * sizeof(std::int32_t));
  counters_ = device_.allocate(rows * sizeof(std::int32_t));
  const std::vector<std::byte> zeros(counters_->bytes());
  device_.copy_to_device(tokens_->data(), zeros.data(), zeros.size());
  device_.copy_to_device(counters_->data(), zeros.data(), zeros.size());
}

void DeviceSampler::sample(const float* logits, int num_rows) {
  if (num_rows == 0) return;
  SampleGreedyParams p{};
  p.logits = logits;
  p.tokens = tokens_->as<int>();
  p.part_max = part_max_->as<float>();
  p.part_token = part_token_->as<int>();
  p.counters = counters_->as<int>();
  p.num_rows = num_rows;
  p.vocab_size = vocab_size_;
  p.part_len = part_len_of(vocab_size_, num_rows, device_.caps().num_programs);
  p.num_parts = ceil_div(vocab_size_, p.part_len);
  device_.run(KernelName::kSampleGreedy, DType::kF32, p, num_rows * p.num_parts, {4.0 * num_rows * vocab_size_, 0});
}

void DeviceSampler::take_tokens(const std::int32_t* rows, std::int32_t* ids, int num_tokens) {
  TakeTokensParams p{};
  p.drawn = tokens_->as<int>();
  p.rows = rows;
  p.ids = ids;
  p.num_tokens = num_tokens;
  device_.run(KernelName::kTakeTokens, DType::kF32, p, num_tokens, {12.0 * num_tokens, 0});
}

}  // namespace quire
