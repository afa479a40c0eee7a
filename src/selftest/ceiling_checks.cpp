// The kernels that measure what the device can do: the numbers that they write depend on all of their work.
#include <algorithm>

#include "kernels/params.h"
#include "selftest/check.h"

namespace quire {
namespace {

template <class T>
std::unique_ptr<Buffer> upload(Device& device, const std::vector<T>& values) {
  auto buffer = device.allocate(values.size() * sizeof(T));
  device.copy_to_device(buffer->data(), values.data(), buffer->bytes());
  return buffer;
}

// What the programs write: f32, or words in their place.
template <class T>
std::vector<T> run_ceiling(Device& device, KernelName name, const Buffer& data, long num_elems,
                           int num_work) {
  std::vector<T> numbers(static_cast<std::size_t>(std::max(num_work, device.caps().num_programs)));
  const std::unique_ptr<Buffer> sink = upload(device, numbers);
  CeilingParams params{};
  params.data = data.as<float>();
  params.sink = sink->as<float>();
  params.num_elems = num_elems;
  params.num_work = num_work;
  device.run(RowVariant{name, DType::kF32}, params, num_work);
  device.copy_to_host(numbers.data(), sink->data(), sink->bytes());
  return numbers;
}

// Any number of pieces, and a rest that is less than one.
void check_read(CheckCase& c, Comparison& found) {
  const int num_work = c.random.between(1, 2 * c.device.caps().num_programs + 3);
  std::vector<std::uint32_t> words(
      static_cast<std::size_t>(4 * c.random.between(1, c.random.pick({40, 4000, 80000}))));
  std::uint32_t want = 0, got = 0;
  for (std::uint32_t& word : words) {
    word = static_cast<std::uint32_t>(c.random.between(0, 0xffff)) << 16 |
           static_cast<std::uint32_t>(c.random.between(0, 0xffff));
    want += word;
  }
  const auto data = upload(c.device, words);
  const auto num_elems = static_cast<long>(words.size());
  for (const std::uint32_t part :
       run_ceiling<std::uint32_t>(c.device, KernelName::kCeilingRead, *data, num_elems, num_work)) {
    got += part;
  }
  found.expect_near(got, want, 0,
                    [&] { return fmt::format("{} words by {} programs", words.size(), num_work); });
}

// With factors of 1 each element adds a number to the total that f32 holds exactly.
void check_arithmetic(CheckCase& c, KernelName name, std::uint32_t factor, double elem_sum, long item_elems,
                      Comparison& found) {
  const int num_work = c.random.between(1, 3);
  const long num_elems = item_elems * num_work;
  const auto data = upload(c.device, std::vector<std::uint32_t>(4096, factor));
  double total = 0;
  for (const float part : run_ceiling<float>(c.device, name, *data, num_elems, num_work))
    total += static_cast<double>(part);
  found.expect_near(total, elem_sum * static_cast<double>(num_elems), 0,
                    [&] { return fmt::format("{} elements in {} items", num_elems, num_work); });
}

constexpr std::uint32_t kOne = 0x3f800000, kPairOfOnes = 0x3f803f80;

void check_fma(CheckCase& c, Comparison& found) {
  check_arithmetic(c, KernelName::kCeilingFma, kOne, 1, 12288L * c.random.between(1, 20), found);
}
void check_dot(CheckCase& c, Comparison& found) {
  const bool has_pairs = c.device.caps().has_pair_dot;
  check_arithmetic(c, KernelName::kCeilingDot, has_pairs ? kPairOfOnes : kOne, has_pairs ? 2 : 1, 3L << 20,
                   found);
}

}  // namespace

std::vector<Check> ceiling_checks() {
  return {{"ceiling_read", "all words", 40, {DType::kF32}, check_read},
          {"ceiling_fma", "all elements", 5, {DType::kF32}, check_fma},
          {"ceiling_dot", "all elements", 5, {DType::kF32}, check_dot}};
}

}  // namespace quire
