#include "model/device_sampler.h"

#include <algorithm>
#include <vector>

#include "kernels/params.h"
#include "tile/ranges.h"

namespace quire {
namespace {

constexpr int kLeastPartLen = 1024;
constexpr int kMaxParts = 64;     // of a row; the last program to finish a row reads the results of all
constexpr int kMinDrawParts = 8;  // for a random draw, where one program has to search a whole part

// The length of a part of a row, such that there are about two parts for each program.
int part_len_of(int vocab_size, int num_rows, int num_programs, int min_parts = 1) {
  const int num_parts = std::clamp(ceil_div(2 * num_programs, num_rows), min_parts, kMaxParts);
  return std::max(kLeastPartLen, round_up(ceil_div(vocab_size, num_parts), 64));
}

// The room for candidates of a row. If there are more, one program reads the whole row instead. Bins contain
// one logit in eight if the logits are close to each other.
int max_candidates_of(int vocab_size) { return round_up(std::max(1024, vocab_size / 8), 64); }

}  // namespace

DeviceSampler::DeviceSampler(Device& device, int vocab_size)
    : device_(device),
      vocab_size_(vocab_size),
      greedy_(device.resolve(RowVariant{KernelName::kSampleGreedy})),
      bins_(device.resolve(RowVariant{KernelName::kSampleBins})),
      threshold_(device.resolve(RowVariant{KernelName::kSampleThreshold})),
      draw_(device.resolve(RowVariant{KernelName::kSampleDraw})),
      take_(device.resolve(RowVariant{KernelName::kTakeTokens})) {}

void DeviceSampler::reserve(int num_rows) {
  if (num_rows <= max_rows_) return;
  max_rows_ = num_rows;
  ++num_reallocations_;
  const auto rows = static_cast<std::size_t>(num_rows);
  const std::size_t parts =
      (kMinDrawParts + 1) * rows + 2 * static_cast<std::size_t>(device_.caps().num_programs);
  tokens_ = make_zeros(rows * sizeof(std::int32_t));
  maxima_ = make(rows * sizeof(float));
  part_max_ = make(parts * sizeof(float));
  part_token_ = make(parts * sizeof(std::int32_t));
  counters_ = make_zeros(rows * sizeof(std::int32_t));
  searches_ = make(rows * sizeof(ThresholdSearch));
  thresholds_ = make(rows * sizeof(TokenThreshold));
  bin_counts_ = make_zeros(rows * kNumBins * sizeof(std::int32_t));
  bin_masses_ = make_zeros(rows * kNumBins * sizeof(Mass));
  candidates_ = make(rows * static_cast<std::size_t>(max_candidates_of(vocab_size_)) * sizeof(float));
  num_candidates_ = make_zeros(rows * sizeof(std::int32_t));
  part_mass_ = make(parts * sizeof(Mass));
  part_ties_ = make(parts * sizeof(std::int32_t));
}

std::unique_ptr<Buffer> DeviceSampler::make_zeros(std::size_t bytes) {
  auto buffer = make(bytes);
  const std::vector<std::byte> zeros(bytes);
  device_.copy_to_device(buffer->data(), zeros.data(), bytes);
  return buffer;
}

std::size_t DeviceSampler::row_bytes(int vocab_size) {
  const std::size_t part_bytes = sizeof(float) + sizeof(Mass) + 2 * sizeof(std::int32_t);
  return kNumBins * (sizeof(std::int32_t) + sizeof(Mass)) +
         static_cast<std::size_t>(max_candidates_of(vocab_size)) * sizeof(float) +
         (kMinDrawParts + 1) * part_bytes + sizeof(ThresholdSearch) + sizeof(TokenThreshold) +
         3 * sizeof(std::int32_t) + sizeof(float);
}

void DeviceSampler::sample(const float* logits, int num_rows) {
  if (num_rows == 0) return;
  SampleGreedyParams p{};
  p.logits = logits;
  p.tokens = tokens_->as<int>();
  p.maxima = maxima_->as<float>();
  p.part_max = part_max_->as<float>();
  p.part_token = part_token_->as<int>();
  p.counters = counters_->as<int>();
  p.num_rows = num_rows;
  p.vocab_size = vocab_size_;
  p.part_len = part_len_of(vocab_size_, num_rows, device_.caps().num_programs);
  p.num_parts = ceil_div(vocab_size_, p.part_len);
  device_.run(greedy_, p, num_rows * p.num_parts, {4.0 * num_rows * vocab_size_, 0});
}

// The cost counts all rows: which of them draw at random is only known on the device.
void DeviceSampler::draw(const float* logits, const DrawRow* draws, int num_rows, bool has_thresholds) {
  if (num_rows == 0) return;
  SampleDrawParams p{};
  p.logits = logits;
  p.draws = draws;
  p.maxima = maxima_->as<float>();
  p.tokens = tokens_->as<int>();
  p.searches = searches_->as<ThresholdSearch>();
  p.thresholds = thresholds_->as<TokenThreshold>();
  p.bin_counts = bin_counts_->as<int>();
  p.bin_masses = bin_masses_->as<Mass>();
  p.candidates = candidates_->as<float>();
  p.num_candidates = num_candidates_->as<int>();
  p.part_mass = part_mass_->as<Mass>();
  p.part_ties = part_ties_->as<int>();
  p.counters = counters_->as<int>();
  p.num_rows = num_rows;
  p.vocab_size = vocab_size_;
  p.part_len = part_len_of(vocab_size_, num_rows, device_.caps().num_programs, kMinDrawParts);
  p.num_parts = ceil_div(vocab_size_, p.part_len);
  p.max_candidates = max_candidates_of(vocab_size_);
  const LaunchCost cost{4.0 * num_rows * vocab_size_, 0};
  if (has_thresholds) {
    device_.run(bins_, p, num_rows * p.num_parts, cost);
    device_.run(threshold_, p, num_rows * p.num_parts, cost);
  }
  device_.run(draw_, p, num_rows * p.num_parts, cost);
}

void DeviceSampler::take_tokens(const std::int32_t* rows, std::int32_t* ids, int num_tokens) {
  TakeTokensParams p{};
  p.drawn = tokens_->as<int>();
  p.rows = rows;
  p.ids = ids;
  p.num_tokens = num_tokens;
  device_.run(take_, p, num_tokens, {12.0 * num_tokens, 0});
}

}  // namespace quire
