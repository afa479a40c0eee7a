// A step's index arrays on the device, of several groups of the cache.
#include "model/step_inputs.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "device/registry.h"
#include "targets/cpu/cpu_device.h"

namespace quire {
namespace {

StepBatch decode_step() {
  StepBatch batch;
  batch.num_seqs = batch.num_tokens = 2;
  batch.max_query_len = 1;
  batch.max_kv_len = 30;
  batch.token_ids = {7, 8};
  batch.positions = {29, 9};
  batch.query_indptr = {0, 1, 2};
  batch.kv_len = {30, 10};
  batch.logit_rows = {0, 1};
  batch.wants_logits = {0, 0};
  batch.draws.resize(2);
  batch.drawn_rows = {-1, -1};
  batch.groups.resize(2);
  batch.groups[0] = {4, {3, 1, 0, 0, 2, 0, 0, 0}, {1 * 12 + 17 % 12, 2 * 12 + 9}};  // pages of 12 tokens
  batch.groups[1] = {
      8, {0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 5, 0, 0, 0, 0, 0}, {6 * 4 + 1, 5 * 4 + 1}};  // pages of 4
  return batch;
}

template <class T>
std::vector<T> values(const T* place, std::size_t num) {
  return {place, place + num};
}

// Kernels know pages of 4 tokens in one layer's pool; a page of three times as many is three of them, 50
// pages apart.
TEST(StepInputs, LongPagesAreSeveralOfTheKernels) {
  TargetRegistry registry;
  register_cpu_target(registry);
  const auto device = registry.open("cpu", {});
  StepInputs inputs(*device, 4, {{3, 50}, {1, 0}});
  for (const int num_tokens : {2, 4}) {
    const StepBatch batch = decode_step();
    const StepArrays arrays =
        num_tokens == 2 ? inputs.upload(batch) : inputs.upload_padded(batch, num_tokens);
    const auto num = static_cast<std::size_t>(num_tokens);
    EXPECT_EQ(arrays.num_tokens, num_tokens);
    EXPECT_EQ(arrays.groups[0].max_pages, 12);
    EXPECT_EQ(arrays.groups[1].max_pages, 8);
    EXPECT_EQ(values(arrays.groups[0].page_table, 24),
              (std::vector<std::int32_t>{3, 53, 103, 1, 51, 101, 0, 50, 100, 0, 50, 100,
                                         2, 52, 102, 0, 50, 100, 0, 50, 100, 0, 50, 100}));
    EXPECT_EQ(values(arrays.groups[1].page_table, 16), batch.groups[1].page_table);
    std::vector<std::int64_t> first = {51 * 4 + 1, 102 * 4 + 1}, second = batch.groups[1].slot_mapping;
    first.resize(num, -1);
    second.resize(num, -1);
    EXPECT_EQ(values(arrays.groups[0].slot_mapping, num), first);
    EXPECT_EQ(values(arrays.groups[1].slot_mapping, num), second);
    EXPECT_EQ(values<std::int32_t>(arrays.token_ids, 2), batch.token_ids);
    EXPECT_EQ(values(arrays.positions, 2), batch.positions);
    EXPECT_EQ(values(arrays.logit_rows, 2), batch.logit_rows);
  }
}

TEST(StepInputs, EqualExtentsLieInEqualPlaces) {
  TargetRegistry registry;
  register_cpu_target(registry);
  const auto device = registry.open("cpu", {});
  StepInputs inputs(*device, 4, {{3, 50}, {1, 0}});
  inputs.reserve(8, 8, 8, 16);
  const std::uint64_t before = inputs.num_reallocations();
  StepBatch batch = decode_step();
  const StepArrays two = inputs.upload_padded(batch, 4);
  batch.token_ids[0] = 1;
  const StepArrays again = inputs.upload_padded(batch, 4);
  EXPECT_EQ(inputs.num_reallocations(), before);
  for (std::size_t g = 0; g < 2; ++g) {
    EXPECT_EQ(two.groups[g].page_table, again.groups[g].page_table);
    EXPECT_EQ(two.groups[g].slot_mapping, again.groups[g].slot_mapping);
  }
  EXPECT_EQ(two.token_ids, again.token_ids);
  batch.groups.pop_back();
  EXPECT_THROW(inputs.upload(batch), Error);
}

}  // namespace
}  // namespace quire
