#include "apps/bench/ceilings.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <thread>
#include <vector>

#include "base/check.h"
#include "kernels/params.h"

namespace quire {
namespace {

constexpr double kInstantS = 30e-6, kSustainedS = 1;
constexpr double kLongS = 0.1;  // work that takes longer is no burst
constexpr auto kRest = std::chrono::milliseconds(20);
constexpr int kNumInstants = 21;
constexpr std::size_t kChunkBytes = std::size_t{4} << 20, kPartBytes = std::size_t{128} << 20;
constexpr int kNumOperands = 4096;  // words of pairs of bf16
constexpr int kMostWork = 16;       // items of work, or readers, for each program that runs at the same time

// Bytes to read: far more than the caches hold, and so many that the start and the end of a pass do not
// count.
std::size_t read_bytes_of(const Device& device) {
  if (device.caps().is_emulated) return kChunkBytes;
  std::size_t wanted = std::size_t{4} << 30;
  const DeviceMemory memory = device.memory();
  if (memory.is_host) {
    const long cache_bytes = ::sysconf(_SC_LEVEL3_CACHE_SIZE);  // 0 or -1 where the system does not say
    wanted = std::max(std::size_t{512} << 20, 4 * static_cast<std::size_t>(std::max(0L, cache_bytes)));
  }
  const std::size_t bytes = std::min(wanted, memory.free_bytes / 4);
  return std::max(bytes / kChunkBytes, std::size_t{16}) * kChunkBytes;
}

// A cheap generator of bits that look random.
std::uint32_t next_bits(std::uint32_t& state) {
  state = state * 1664525u + 1013904223u;
  return state ^ state >> 15;
}

// Real numbers everywhere: pages that were never written would all be the same zero page in the cache. Each
// chunk differs from all others.
unsigned fill(Device& device, const Buffer& data) {
  std::uint32_t state = 1;
  unsigned chunk_sum = 0, sum = 0;
  std::vector<std::uint32_t> chunk(kChunkBytes / sizeof(std::uint32_t));
  for (std::uint32_t& word : chunk) {
    word = next_bits(state);
    chunk_sum += word;
  }
  for (std::size_t at = 0, i = 0; at < data.bytes(); at += kChunkBytes, ++i) {
    std::uint32_t& word = chunk[i * 977 % chunk.size()];
    chunk_sum -= word;
    word = next_bits(state);
    chunk_sum += word;
    device.copy_to_device(data.data() + at, chunk.data(), kChunkBytes);
    sum += chunk_sum;
  }
  return sum;
}

// Pairs of bf16 of both signs and all mantissas near 1. The first two words are what multiply-adds in f32
// take, just above a half and a quarter, and as pairs exactly a half and a quarter each: no chain overflows
// or becomes subnormal.
std::vector<std::uint32_t> operands() {
  std::uint32_t state = 2;
  std::vector<std::uint32_t> words(kNumOperands);
  for (std::uint32_t& word : words) word = (next_bits(state) & 0x80ff80ffu) | 0x3f003f00u;
  words[0] = 0x3f003f00u;
  words[1] = 0x3e803e80u;
  return words;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

}  // namespace

const char* to_string(CeilingSpan span) {
  return span == CeilingSpan::kInstant ? "instantaneous"
         : span == CeilingSpan::kBurst ? "burst"
                                       : "sustained";
}

CeilingSpan span_of(const Device& device, double seconds) {
  return device.caps().runs_async && seconds > kLongS ? CeilingSpan::kSustained : CeilingSpan::kBurst;
}

CeilingMeter::CeilingMeter(Device& device)
    : device_(device),
      most_work_(kMostWork * device.caps().num_programs),
      data_(device.allocate(read_bytes_of(device))),
      operands_(device.allocate(kNumOperands * sizeof(std::uint32_t))),
      sink_(device.allocate(static_cast<std::size_t>(most_work_) * sizeof(float))),
      fma_{KernelName::kCeilingFma, 2},
      dot_{KernelName::kCeilingDot, device.caps().has_pair_dot ? 4.0 : 2.0},
      sum_(fill(device, *data_)) {
  const std::vector<std::uint32_t> words = operands();
  device.copy_to_device(operands_->data(), words.data(), operands_->bytes());
}

void CeilingMeter::rest() {
  if (!device_.caps().runs_async) return;
  device_.synchronize();
  std::this_thread::sleep_for(kRest);
  launch(fma_, 1);
}

void CeilingMeter::launch_read(int part, int num_parts) {
  CeilingParams params{};
  params.num_elems = static_cast<long>(data_->bytes() / sizeof(float)) / num_parts;
  params.data = data_->as<float>() + part * params.num_elems;
  params.sink = sink_->as<float>();
  params.num_work = num_readers_;
  const double bytes = static_cast<double>(params.num_elems) * sizeof(float);
  device_.run(RowVariant{KernelName::kCeilingRead, DType::kF32}, params, params.num_work, {bytes, 0});
}

void CeilingMeter::launch(const Arithmetic& arithmetic, long num_elems) {
  CeilingParams params{};
  params.data = operands_->as<float>();
  params.sink = sink_->as<float>();
  params.num_elems = num_elems;
  params.num_work = most_work_;
  const double flops = arithmetic.flops_per_elem * static_cast<double>(num_elems);
  device_.run(RowVariant{arithmetic.name, DType::kF32}, params, params.num_work, {0, flops});
}

double CeilingMeter::launch_s(const Arithmetic& arithmetic, long num_elems) {
  return 1e-6 * device_.time_us([&] { launch(arithmetic, num_elems); });
}

// How many programs read at the same time matters, and differs from chip to chip.
void CeilingMeter::choose_programs() {
  const std::vector<int> choices =
      device_.caps().runs_async ? std::vector<int>{1, 2, 3, 4, 6, 8, 16} : std::vector<int>{4, 16};
  double best_s = 0;
  int best = 0;
  for (const int choice : choices) {
    num_readers_ = choice * device_.caps().num_programs;
    check_read();
    const auto time_s = [&] { return 1e-6 * device_.time_us([&] { launch_read(); }); };
    const double pass_s = device_.caps().runs_async ? std::min(time_s(), time_s()) : best_part_s();
    if (best == 0 || pass_s < best_s) best_s = pass_s, best = num_readers_;
  }
  num_readers_ = best;
  pass_s_ = best_s;
}

void CeilingMeter::check_read() {
  std::vector<std::uint32_t> sums(static_cast<std::size_t>(most_work_));
  device_.copy_to_device(sink_->data(), sums.data(), sink_->bytes());
  launch_read();
  device_.copy_to_host(sums.data(), sink_->data(), sink_->bytes());
  unsigned sum = 0;
  for (const std::uint32_t part : sums) sum += part;
  QUIRE_CHECK_KIND(kInternal, sum == sum_,
                   "the read ceiling's kernel sums {} bytes to {} instead of {}, with {} programs",
                   data_->bytes(), sum, sum_, num_readers_);
}

// On a CPU: a pass, part by part, since a whole one takes longer than others leave a shared processor alone.
double CeilingMeter::best_part_s() {
  const int num_parts = std::max(1, static_cast<int>(data_->bytes() / kPartBytes));
  double best_s = 0;
  for (int part = 0; part < num_parts; ++part) {
    const double s = 1e-6 * device_.time_us([&] { launch_read(part, num_parts); });
    if (part == 0 || s < best_s) best_s = s;
  }
  return best_s * num_parts;
}

double CeilingMeter::measure_read(CeilingSpan span) {
  QUIRE_CHECK_KIND(kInternal, span != CeilingSpan::kInstant, "reading has no instantaneous rate");
  if (num_readers_ == 0) choose_programs();
  const auto passes_in = [&](double seconds) {
    return std::max(1, static_cast<int>(std::lround(seconds / pass_s_)));
  };
  const auto time_s = [&](int num_passes) {
    return 1e-6 * device_.time_us([&] {
      for (int i = 0; i < num_passes; ++i) launch_read();
    });
  };
  const bool is_burst = span == CeilingSpan::kBurst;
  if (!is_burst) time_s(passes_in(kSustainedS));
  if (is_burst) rest();
  const int num_passes = passes_in(is_burst ? kBurstS : kSustainedS);
  const bool is_in_parts = is_burst && !device_.caps().runs_async;
  const double pass_s = is_in_parts ? best_part_s() : time_s(num_passes) / num_passes;
  const double rate = static_cast<double>(data_->bytes()) / pass_s;
  best_.of(span).read = std::max(best_.of(span).read, rate);
  return rate;
}

double CeilingMeter::measure_fma(CeilingSpan span) { return measure(fma_, span, &CeilingRates::fma); }
double CeilingMeter::measure_dot(CeilingSpan span) { return measure(dot_, span, &CeilingRates::dot); }

double CeilingMeter::measure(Arithmetic& arithmetic, CeilingSpan span, double CeilingRates::*rate) {
  const auto flops_of = [&](long num_elems) {
    return arithmetic.flops_per_elem * static_cast<double>(num_elems);
  };
  if (arithmetic.burst_elems == 0) {
    long elems = (device_.caps().is_emulated ? long{1} << 20 : long{1} << 23) * most_work_;
    launch_s(arithmetic, elems);  // wakes the threads
    const double elems_a_second = static_cast<double>(elems) / launch_s(arithmetic, elems);
    arithmetic.burst_elems = std::max(elems, static_cast<long>(elems_a_second * kBurstS));
  }
  double found = 0;
  if (span == CeilingSpan::kInstant) {
    found = instant_rate(arithmetic);
  } else if (span == CeilingSpan::kBurst) {
    rest();
    found = flops_of(arithmetic.burst_elems) / launch_s(arithmetic, arithmetic.burst_elems);
  } else {
    const int num_launches =
        std::max(1, static_cast<int>(kSustainedS / launch_s(arithmetic, arithmetic.burst_elems)));
    const auto run_s = [&] {
      return 1e-6 * device_.time_us([&] {
        for (int i = 0; i < num_launches; ++i) launch(arithmetic, arithmetic.burst_elems);
      });
    };
    run_s();
    found = num_launches * flops_of(arithmetic.burst_elems) / run_s();
  }
  best_.of(span).*rate = std::max(best_.of(span).*rate, found);
  return found;
}

// Two lengths: what starting and ending a launch costs is in both, and so not in their difference. Launches
// before them bring the code into the caches, or the first would seem too long and the rate too high.
double CeilingMeter::instant_rate(const Arithmetic& arithmetic) {
  const long granule = most_work_ * (long{1} << 20);
  const double burst_parts = static_cast<double>(arithmetic.burst_elems) * kInstantS / kBurstS;
  const long elems = granule * std::max(1L, std::lround(burst_parts / static_cast<double>(granule)));
  std::vector<double> seconds;
  for (int i = 0; i < kNumInstants; ++i) {
    rest();
    for (int warm = 0; warm < 2; ++warm) launch_s(arithmetic, elems);
    const double once_s = launch_s(arithmetic, elems);
    seconds.push_back(launch_s(arithmetic, 2 * elems) - once_s);
  }
  return arithmetic.flops_per_elem * static_cast<double>(elems) / median(seconds);
}

}  // namespace quire
